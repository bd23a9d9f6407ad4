/* framing.h - the one framing decision per message, and the checks of the whole head that go with it. Private
 * to http/. Pure.
 *
 * RFC 9112 sections 6 and 9.3, read strictly: what two readers could understand differently is refused,
 * because the difference is what request smuggling and response splitting live on.
 */
#ifndef QP_HTTP_FRAMING_H
#define QP_HTTP_FRAMING_H

#include "http/message.h"
#include "http/refusal.h"

/* Requires the start line and the fields of the message. Gives QP_REFUSAL_NONE and fills body_kind,
 * body_length, keep_alive and expect_continue, or gives the reason to refuse. no_body: the message answers a
 * HEAD request. */
enum qp_refusal_id qp_framing_decide(struct qp_message *message, bool no_body);

/* RFC 9110 section 6.5.1: gives the reason to refuse if a trailer field would frame, route or authenticate the message, or speak
 * of the connection. Other fields that make no sense there are left out by whoever forwards (qp_field_passes_as_trailer()). */
enum qp_refusal_id qp_framing_check_trailers(const struct qp_fields *trailers);

#endif
