/* parse_state.h - the parser's body, for those who embed it. Private to http/ otherwise. */
#ifndef QP_HTTP_PARSE_STATE_H
#define QP_HTTP_PARSE_STATE_H

#include "http/message.h"
#include <llhttp.h>

struct qp_parse_limits;
struct qp_refusal;

struct qp_parser {
    llhttp_t engine;
    struct qp_message message;
};

#endif
