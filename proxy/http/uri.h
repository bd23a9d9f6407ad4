/* uri.h - request targets, authorities and absolute URLs (RFC 3986, RFC 9112 section 3.2). Pure. */
#ifndef QP_HTTP_URI_H
#define QP_HTTP_URI_H

#include "base/result.h"
#include "base/slice.h"

enum qp_target_form { QP_TARGET_ORIGIN, QP_TARGET_ABSOLUTE, QP_TARGET_AUTHORITY, QP_TARGET_ASTERISK };

struct qp_target {
    enum qp_target_form form;
    struct qp_slice authority; /* ABSOLUTE and AUTHORITY: as it came; else not set */
    struct qp_slice path;  /* path and query as they came, from the first '/'; an absolute target without a
                              path gives "/" (or "/?query" cannot  be given without a copy: then path is empty
                              and query starts with '?') */
    struct qp_slice query; /* set only in that one case */
};

/* Splits a request target; false when it is none of the four forms, or holds userinfo, a fragment, controls,
 * spaces or bytes above 0x7e. */
bool qp_target_parse(struct qp_slice method, struct qp_slice target, struct qp_target *out);

/* RFC 9110 section 7.2: "host" or "host:port" of valid characters. Empty is not valid here. */
bool qp_is_authority(struct qp_slice text);

struct qp_url {
    bool https;
    struct qp_slice host; /* without brackets */
    uint16_t port;        /* default of the scheme when not given */
    bool has_port;
    struct qp_slice rest; /* path, query: from the first '/', or empty */
};

/* An absolute http or https URL without userinfo and fragment; slices of the text. */
bool qp_url_parse(struct qp_slice text, struct qp_url *out);

#endif
