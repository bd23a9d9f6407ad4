/* talk.h - what a subcommand has to say to a qproxy: to the daemon over its admin listener, or to a control half of our own where none answers. Main
 * thread; blocking.
 *
 * Looked for at the addresses of admin.listen, Unix sockets first. A sign-in, and the admin token, are given only to who runs as this user, as root, or
 * as the owner of the configuration or of the vault: another user of this machine may have taken the address. Whatever goes wrong is said on stderr here; callers only pass the exit code on.
 */
#ifndef QP_CLI_TALK_H
#define QP_CLI_TALK_H

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/own.h"
#include <cJSON.h>

enum { QP_TALK_WHERE_BYTES = 192, QP_TALK_CSRF_BYTES = 128, QP_TALK_ANY = -1 };

struct qp_talk {
    const struct qp_config *config;
    struct qp_problems unread; /* secrets of it that are not for us; the daemon has them */
    struct qp_client client;
    struct qp_client_trusted trusted; /* with what is secret: the admin token, a sign-in */
    char where[QP_TALK_WHERE_BYTES];  /* "the daemon at ADDRESS", for messages */
    struct qp_buf no_daemon;          /* why none was found: "ADDRESS: reason; ..." */
    char cookie[QP_CLIENT_COOKIE_BYTES];
    char csrf[QP_TALK_CSRF_BYTES];
    bool is_own;
    struct qp_own own; /* is_own */
};

/* What a subcommand is, for qp_talk_carry_out(). */
struct qp_talk_verb {
    /* Which accounts it is about; NULL: no single one. */
    bool (*fits)(const struct qp_config_account *account);
    const char *what;          /* of those accounts: "can be signed in" */
    bool may_be_all;           /* no ACCOUNT given: QP_TALK_ANY rather than the only one that fits */
    bool for_sign_in;          /* our own control half listens for the browser too */
    const char *without_vault; /* what there is not to be done without daemon and vault; NULL: something is */
    /* account: an index in config->accounts, or QP_TALK_ANY. Gives the exit code. */
    int (*speak)(struct qp_talk *talk, const struct qp_cli_options *options, int account);
};

/* All of it: the configuration, the account, the daemon or our own control half, the session, the verb. Gives the exit code. */
int qp_talk_carry_out(const struct qp_cli_options *options, const struct qp_talk_verb *verb);

/* Asks, and gives the body of an answer 200. */
int qp_talk_get(struct qp_talk *talk, const char *target, struct qp_buf *body);

struct qp_reply {
    cJSON *json; /* all of it */
    bool ok;
    const char *code; /* never NULL, as is text. Valid until deinit */
    const char *text;
    int exit_code; /* of the class that `code` is of, or EX_OK */
};

struct qp_order {
    const char *path;     /* "/refresh/" */
    const char *account;  /* follows the path; NULL: nothing does */
    struct qp_slice form; /* encoded */
};

/* POSTs. EX_OK: there is a reply, whether it is ok or not. */
int qp_talk_order(struct qp_talk *talk, const struct qp_order *order, struct qp_reply *reply);
/* GETs the same kind of answer: {"ok","code","text"}, or another object, for which ok is true. */
int qp_talk_ask(struct qp_talk *talk, const char *target, struct qp_reply *reply);
void qp_reply_deinit(struct qp_reply *reply);

/* Members of a JSON object; of one that is missing or of another type: "", false, -1. */
const char *qp_member_text(const cJSON *object, const char *name);
bool qp_member_bool(const cJSON *object, const char *name);
int64_t qp_member_number(const cJSON *object, const char *name);
/* Of a list: its first element; the others follow by `next`. NULL: there is none. */
const cJSON *qp_member_first(const cJSON *object, const char *name);

#endif
