/* links.h - result.nextPage and the legacy result.file, led back through the proxy while a JSON body streams by.
 *
 * The API answers with absolute links on a Qualtrics host, not always the one that was called; a client that follows one verbatim would leave the
 * proxy and arrive without a token. Only the string values of exactly these two members of the top-level "result" object are looked at, and only
 * links that start with https://HOST/API/v3/ where HOST is *.qualtrics.com or the account's own origin. What replaced is the part before "/API/v3/"; the rest
 * stays byte for byte as it was written, escapes included. Everything else passes through untouched, whatever it is; a body that is not
 * JSON is therefore harmless. Pure; input may be cut anywhere.
 */
#ifndef QP_RELAY_LINKS_H
#define QP_RELAY_LINKS_H

#include "base/buf.h"

struct qp_links_rules {
    struct qp_slice origin_host;
    uint16_t origin_port;
    struct qp_slice
        base; /* "http://127.0.0.1:8080/prefix": what takes the place; plain ASCII without quotes or backslashes */
};

struct qp_links {
    const struct qp_links_rules *rules;
    struct qp_buf held; /* a string that may have to be replaced, with its quotes */
    uint64_t depth;
    uint64_t rewritten;
    uint8_t phase;     /* enum phase in links.c */
    uint8_t key;       /* enum key: of the member whose value comes next, at the depth that matters */
    bool in_result;    /* depth 2 is the top-level "result" object */
    bool expects_key;  /* depth 1 or 2: the next string is a member name */
    bool is_object[2]; /* kind of the containers at depth 1 and 2 */
    bool escaped;
};

typedef void (*qp_links_sink)(void *context, struct qp_slice bytes);

/* Borrows the rules. Keeps the memory of an earlier use. */
void qp_links_begin(struct qp_links *links, const struct qp_links_rules *rules);
void qp_links_feed(struct qp_links *links, struct qp_slice piece, qp_links_sink sink, void *context);
/* The body has ended: gives out what was held. */
void qp_links_end(struct qp_links *links, qp_links_sink sink, void *context);
void qp_links_deinit(struct qp_links *links);

/* False if a body that lies whole in memory certainly holds nothing to rewrite: a quick look that spares the scan. */
bool qp_links_may_occur(struct qp_slice whole);

#endif
