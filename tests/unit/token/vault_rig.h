/* vault_rig.h - a folder with a vault in it, for the tests of the vault. */
#ifndef QP_TEST_VAULT_RIG_H
#define QP_TEST_VAULT_RIG_H

#include "cmocka_all.h"
#include "token/vault_impl.h"
#include <sys/types.h>

enum { RIG_PATH_BYTES = 512 };

#define RIG_KEY       "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define RIG_OTHER_KEY "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

struct rig {
    char folder[RIG_PATH_BYTES / 2];
    char path[RIG_PATH_BYTES];     /* folder/vault */
    char key_file[RIG_PATH_BYTES]; /* folder/vault.key; there only if a test makes it */
    struct qp_vault_opts opts;     /* path, RIG_KEY, create */
    char error[1024];              /* of the last call */
};

/* cmocka's setup and teardown; the latter also looks for secrets that were not freed. */
int rig_start(void **state);
int rig_end(void **state);

/* Frees what it held before. text: NULL: none. */
void rig_set_key(struct qp_vault_key_opts *key, const char *text, bool is_passphrase);
/* A path in the folder; valid until the next call but one. */
const char *rig_in(const struct rig *rig, const char *name);

enum qp_vault_outcome rig_try_open(struct rig *rig, struct qp_vault **vault);
struct qp_vault *rig_open(struct rig *rig);
/* That the opening fails so, with a line that names the file; the file, and that it is not there, stays as it was. */
void rig_refused(struct rig *rig, enum qp_vault_outcome expected);
void rig_write(struct rig *rig, struct qp_vault *vault);

/* Every member of the record says `mark`. */
void rig_fill(struct qp_vault *vault, const char *name, const char *mark);
bool rig_is_filled(struct qp_vault *vault, const char *name, const char *mark);
/* A vault with one account "a", closed. */
void rig_make(struct rig *rig, const char *mark);
/* Opens with what the rig has, and tells whether "a" says `mark`. */
bool rig_holds(struct rig *rig, const char *mark);

/* Whole files. `bytes` is the caller's to qp_buf_deinit(). */
struct qp_buf rig_read(const char *path);
void rig_put(const char *path, struct qp_slice bytes);
bool rig_is_there(const char *path);

/* In a process of its own; gives what waitpid() says of it. An exit code of 77 is "cannot be tried here". */
enum { RIG_CANNOT = 77 };
int rig_in_child(int (*act)(struct rig *rig), struct rig *rig);
void rig_child_ends_well(int (*act)(struct rig *rig), struct rig *rig);

#endif
