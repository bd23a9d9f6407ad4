/* vault.h - the encrypted file that keeps refresh tokens and tokens over restarts. Control thread; blocking.
 *
 * One file, mode 0600: a header of QP_VAULT_HEADER_BYTES, then a JSON document sealed with AES-256-GCM under a fresh random nonce each time
 * it is written; the header is authenticated with it (additional data). Header, little-endian:
 *     0   8  magic "QPVAULT\n"
 *     8   2  version (1)            10  2  header's length
 *    12   1  kdf: 0 none, 1 PBKDF2-HMAC-SHA-512             13  3  zero
 *    16   4  kdf's iterations, 0 without a kdf              20 16  its salt
 *    36   8  key id: the first bytes of HMAC-SHA-256(key, "qproxy vault key id")
 *    44  12  nonce
 *    56   4  length of what is sealed, without its tag      60  4  the first bytes of SHA-256(bytes 0 to 59)
 * then the sealed document and the 16 bytes of its tag, and nothing behind it. Magic, version, length and the check at 60 stay where they are in every
 * version: the check tells a changed bit from a newer version and from another key, the tag tells a forgery.
 *
 * Written as a whole: "PATH.tmp" beside it (0600 whatever the umask), fsync, rename, fsync of the folder. An exclusive lock on
 * "PATH.lock" is held from open to close, so that two processes cannot share a vault; the kernel gives it up at any death. What a crash leaves of
 * PATH.tmp is sealed too, and is replaced by the next write. A link at PATH is followed once, when it is opened; the file behind it is what is replaced. What root
 * writes belongs to whom the file, or else its folder, belonged to before.
 * A vault that cannot be read is never overwritten. While it is open it is ours: what others put there is replaced by the next write, unless
 * qp_vault_reread() is asked before.
 *
 * Keys are 32 random bytes as 64 hex digits, or a passphrase, from which the key is derived (slow on purpose: about half a second at the opening;
 * a vault with fewer iterations than are usual now is written with more at once). The previous key still reads
 * (opts.old_key, or what an interrupted rotation left in "KEY_FILE.new"); a vault that was read with old_key is written anew with the present one
 * at once. Should that fail, the vault is open and dirty, and the next write does it.
 */
#ifndef QP_TOKEN_VAULT_H
#define QP_TOKEN_VAULT_H

#include "base/result.h"
#include "base/secret.h"
#include <stdint.h>

enum { QP_VAULT_HEADER_BYTES = 64, QP_VAULT_MOST_BYTES = 4 * 1024 * 1024 };

struct qp_vault;

struct qp_vault_key_opts {
    const struct qp_secret *text; /* 64 hex digits, or the passphrase; NULL: there is none */
    bool is_passphrase;
};

/* All borrowed for the vault's life. */
struct qp_vault_opts {
    const char *path;
    struct qp_vault_key_opts key;
    struct qp_vault_key_opts old_key;
    /* Where the present key was read from, if that is a file; NULL: rotation is not for us. After a rotation (also one that was interrupted, and
     * finished by the opening) the file holds another key than key.text: the vault goes by its own. */
    const char *key_file;
    bool create; /* an absent file in an existing folder is begun, empty; else that is QP_VAULT_ABSENT */
};

enum qp_vault_outcome {
    QP_VAULT_OPEN,
    QP_VAULT_ABSENT,    /* no such file, or no such folder */
    QP_VAULT_CORRUPT,   /* no vault, empty, cut short, too long, or changed: by a bit or by more */
    QP_VAULT_WRONG_KEY, /* whole, but sealed with another key */
    QP_VAULT_TOO_NEW,   /* written by a newer qproxy */
    QP_VAULT_LOCKED,    /* another process has it; the message names it where that can be found out */
    QP_VAULT_BAD_KEY, /* a key is not 64 hex digits, or the passphrase is too short (12 bytes), or there is none */
    QP_VAULT_UNREADABLE /* the system refuses: permissions, type of file, I/O, no place to begin one; or other users may read or write it */
};

/* On anything but QP_VAULT_OPEN `error` holds one line: the file, what is wrong, what to do; no secret. */
QP_MUST_USE enum qp_vault_outcome qp_vault_open(const struct qp_vault_opts *opts, struct qp_vault **vault,
                                                char *error, size_t error_size);
/* Wipes all it knows, gives up the lock. What was not written is lost: see qp_vault_is_dirty(). *vault becomes NULL; NULL inside is fine. */
void qp_vault_close(struct qp_vault **vault);

/* What is kept of one account. The members (not the name) are the caller's to read and, followed by qp_vault_write(), to change; secrets in it are
 * the record's own. Texts of unbounded origin are cut to fit by who fills them in; times are kept within 2^53 seconds of 1970. */
struct qp_vault_record {
    char *name;
    char binding[48]; /* digest of what the tokens belong to: grant, token URL, client id, scope */
    char seed[48];    /* digest of the configured first refresh token, for that grant; else empty */
    struct qp_secret *refresh_token; /* NULL: none */
    int64_t refresh_token_unix_s;    /* when it was issued */
    int64_t signed_in_unix_s;        /* 0: never */
    bool redeeming; /* the refresh token is being, or has been, presented and the outcome is not known */
    struct qp_secret *access_token; /* NULL: none */
    int64_t access_token_unix_s;
    int64_t access_token_until_unix_s;
    struct {
        char brand[128];
        char user[256];
        char datacenter[64];
        char warning[384];
    } identity; /* of whoami; empty texts: not known */
};

/* The account's record, made if there is none. Valid until the vault is closed; a reread changes what it holds, and frees the secrets that were in
 * it. Requires a name that is not empty. Records of accounts that are no longer configured stay: a slip of the pen in a name ends no sign-in. */
struct qp_vault_record *qp_vault_record(struct qp_vault *vault, const char *name);

/* Writes all records: on QP_OK they are on disk, whatever happens to the machine now. Else QP_SELF_IO, the vault is dirty, `error` holds one line, and the
 * file is whole: as it was, or (only if the folder's fsync is what failed) as it was to be. step: "mark", "record" or "cache", the name of the fault points passed:
 * vault.STEP.write, .written, .synced, .renamed; an errno there fails what comes next, which is the writing, fsync, rename, and the folder's fsync. Then
 * .done, where only kill and stop make sense. The steps of the vault itself are "begin", "reseal" and "rotate". */
QP_MUST_USE enum qp_result qp_vault_write(struct qp_vault *vault, const char *step, char *error,
                                          size_t error_size);
/* Sets disk space aside for the next write (a preallocated PATH.tmp), so that it cannot fail for want of it: enough for what is kept and one token
 * answer of the largest size more. From then on each write that succeeds tries to set aside as much again, for other accounts' calls that may be under way. Same
 * results, but a failure makes nothing dirty; fault point vault.reserve. */
QP_MUST_USE enum qp_result qp_vault_reserve(struct qp_vault *vault, char *error, size_t error_size);
/* A write failed, and none has succeeded since. */
bool qp_vault_is_dirty(const struct qp_vault *vault);

/* True if somebody else restored or replaced the file, and it holds for this account another refresh token than the record in memory: the record is
 * then as in the file. False, and nothing changed, in any other case; so also for a file that is only older than the memory because our own
 * writes failed. */
bool qp_vault_reread(struct qp_vault *vault, const char *name);

/* A new key: made, written to "KEY_FILE.new" (with the key file's owner and group), the vault sealed with it, then renamed over key_file; a crash in
 * between leaves both keys in reach of the next open, which finishes what was begun. Without a key_file, or with a passphrase: QP_NET_DENIED, and `text` says how to do it
 * with vault.old_key. Else QP_SELF_IO, and `text` says which key the vault has now. `text` holds one line either way. Fault points: rotate.key_written, those
 * of the write "rotate", rotate.sealed, rotate.done. */
QP_MUST_USE enum qp_result qp_vault_rotate(struct qp_vault *vault, char *text, size_t text_size);
/* The vault was read with the old key or derived with other parameters than the present ones, and has been (or at the next write will be)
 * sealed with the present ones. */
bool qp_vault_was_resealed(const struct qp_vault *vault);

/* `qproxy key new FILE`: 64 hex digits and a newline into a new file of mode 0600. QP_NET_IN_USE if it is there already, else QP_SELF_IO. error: one
 * line. */
QP_MUST_USE enum qp_result qp_vault_key_new(const char *file, char *error, size_t error_size);

#endif
