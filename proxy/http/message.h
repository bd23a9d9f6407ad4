/* message.h - a parsed head: start line, fields, and how its body is framed.
 *
 * All slices lie in the arena that the parser was given, valid until that is reset. Request and response
 * share the struct because everything but the start line is the same; `direction` says which half is set.
 */
#ifndef QP_HTTP_MESSAGE_H
#define QP_HTTP_MESSAGE_H

#include "base/slice.h"
#include "http/fields.h"

enum qp_direction { QP_REQUEST, QP_RESPONSE };

enum qp_body_kind {
    QP_BODY_NONE,       /* no body, whatever the fields said (RFC 9112 section 6.3, rules 1 and 7) */
    QP_BODY_LENGTH,     /* exactly body_length bytes */
    QP_BODY_CHUNKED,    /* chunked, and nothing else */
    QP_BODY_UNTIL_CLOSE /* responses only */
};

struct qp_message {
    enum qp_direction direction;
    uint8_t major;
    uint8_t minor;

    /* request */
    struct qp_slice method; /* as it came, case-sensitive */
    struct qp_slice target; /* as it came, byte for byte */

    /* response */
    uint16_t status;
    struct qp_slice reason;

    struct qp_fields fields;
    struct qp_fields trailers; /* filled when the message has ended */

    enum qp_body_kind body_kind;
    uint64_t body_length; /* QP_BODY_LENGTH only */
    bool keep_alive;      /* RFC 9112 section 9.3, by version, Connection and framing */
    bool expect_continue; /* request: Expect: 100-continue and HTTP/1.1 */
};

#endif
