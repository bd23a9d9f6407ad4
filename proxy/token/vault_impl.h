/* vault_impl.h - the vault's parts: keys, what is sealed, the records as text. Private to token/; control thread. */
#ifndef QP_TOKEN_VAULT_IMPL_H
#define QP_TOKEN_VAULT_IMPL_H

#include "base/buf.h"
#include "base/list.h"
#include "token/place.h"
#include "token/vault.h"

enum {
    QP_VAULT_VERSION = 1,
    QP_VAULT_KEY_BYTES = 32,
    QP_VAULT_KEY_ID_BYTES = 8,
    QP_VAULT_SALT_BYTES = 16,
    QP_VAULT_NONCE_BYTES = 12,
    QP_VAULT_TAG_BYTES = 16,
    QP_VAULT_PASSPHRASE_LEAST_BYTES = 12,
    /* Half a second of one core of 2026; OWASP asks for 210,000 at least. */
    QP_VAULT_ITERATIONS = 500000,
    /* A forged header must not keep us busy for hours. */
    QP_VAULT_ITERATIONS_MOST = 20 * QP_VAULT_ITERATIONS
};

/* ---- keys (vault_key.c) ---- */

enum qp_vault_kdf_kind { QP_VAULT_KDF_NONE = 0, QP_VAULT_KDF_PBKDF2_SHA512 = 1 };

struct qp_vault_kdf {
    enum qp_vault_kdf_kind kind;
    uint32_t iterations;
    unsigned char salt[QP_VAULT_SALT_BYTES];
};

struct qp_vault_key {
    struct qp_secret *bytes; /* NULL: there is none */
    struct qp_vault_kdf kdf;
    unsigned char id[QP_VAULT_KEY_ID_BYTES];
};

void qp_vault_key_free(struct qp_vault_key *key);
/* What is wrong with the text, in words that go behind the setting's name; NULL: nothing. */
const char *qp_vault_key_fault(const struct qp_vault_key_opts *opts);
/* The key that the text stands for under the header's kdf; slow for a passphrase. False if one is a passphrase and the other not. */
bool qp_vault_key_derive(const struct qp_vault_key_opts *opts, const struct qp_vault_kdf *kdf,
                         struct qp_vault_key *key);
/* The key that the text stands for when a vault is sealed with it from now on: a passphrase gets a new salt. */
void qp_vault_key_make(const struct qp_vault_key_opts *opts, struct qp_vault_key *key);
void qp_vault_key_random(struct qp_vault_key *key);

/* Hex digits and a newline in a new file, on disk when this returns 0. See qp_place_create(). */
int qp_vault_key_write(const struct qp_place *place, const char *suffix, const struct qp_vault_key *key);
/* 0; ENOENT: there is no such file; EBADMSG: no key in it, as in one whose writing a crash cut short; else why it cannot be read. */
int qp_vault_key_read(const struct qp_place *place, const char *suffix, struct qp_vault_key *key);

/* ---- what is sealed (vault_seal.c) ---- */

struct qp_vault_header {
    struct qp_vault_kdf kdf;
    unsigned char key_id[QP_VAULT_KEY_ID_BYTES];
    unsigned char nonce[QP_VAULT_NONCE_BYTES];
    uint32_t sealed_bytes; /* without the tag */
};

/* QP_VAULT_OPEN, QP_VAULT_CORRUPT with *why, or QP_VAULT_TOO_NEW. Looks at the whole file's length. */
enum qp_vault_outcome qp_vault_header_read(struct qp_slice file, struct qp_vault_header *header,
                                           const char **why);
/* Appends header, sealed text and tag; tells the nonce. Requires text.len < QP_VAULT_MOST_BYTES. */
void qp_vault_seal(const struct qp_vault_key *key, struct qp_slice text, struct qp_buf *file,
                   unsigned char nonce[QP_VAULT_NONCE_BYTES]);
/* Appends the text. False: the file is not what was sealed with this key. Requires a file whose header was read. The text is a secret. */
bool qp_vault_unseal(const struct qp_vault_key *key, struct qp_slice file,
                     const struct qp_vault_header *header, struct qp_buf *text);

/* ---- the records as text (vault_records.c) ---- */

/* A list of records: what qp_vault_record() hands out, with its link. */
void qp_vault_records_free(struct qp_list *records);
struct qp_vault_record *qp_vault_records_find(const struct qp_list *records, const char *name);
struct qp_vault_record *qp_vault_records_add(struct qp_list *records, const char *name);
/* `to` becomes what `from` is, but for its name; `from` is left without secrets. */
void qp_vault_record_move(struct qp_vault_record *to, struct qp_vault_record *from);

/* The text is a secret. */
void qp_vault_records_write(const struct qp_list *records, struct qp_buf *text);
/* False, and the list as it was (empty), if the text is not what qp_vault_records_write() makes; members that it does not know are passed over. */
bool qp_vault_records_read(struct qp_slice text, struct qp_list *records);

/* ---- the vault itself (vault.c, vault_rotate.c) ---- */

/* Behind key_file: a key that a rotation has made, and that nobody reads yet. */
#define QP_VAULT_NEW_KEY ".new"

struct qp_vault {
    struct qp_vault_opts opts;
    struct qp_place place;
    struct qp_place key_place; /* path NULL: there is no key file */
    int lock_fd;
    int spare_fd;               /* the temporary file with disk space set aside; -1: none */
    struct qp_vault_key key;    /* seals every write */
    struct qp_vault_key former; /* what the file was read with, or sealed with before a rotation */
    unsigned char nonce[QP_VAULT_NONCE_BYTES]; /* of the file as we know it: nobody else makes the same */
    size_t file_bytes;
    struct qp_list records;
    bool is_dirty;
    bool was_resealed;
};

/* Seals all records with this key and replaces the file. is_replaced: whether the file has the new content now, which it may have although the
 * result is an errno. */
int qp_vault_store(struct qp_vault *vault, const struct qp_vault_key *key, const char *step,
                   bool *is_replaced);
/* The key that an interrupted rotation left beside key_file takes its place, as far as the system lets us. */
int qp_vault_rotate_finish(struct qp_vault *vault);
/* What to do about an errno of a write, with a ": " before it; empty: nothing that is known here. */
const char *qp_vault_remedy(int error);

#endif
