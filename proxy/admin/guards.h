/* guards.h - may this request be answered? Pure, one guard a function, in the order of admin.h. Private to admin/.
 *
 * Each gives NULL, or why not. What a guard looks for that stands twice is as good as missing: two readers might take different ones.
 */
#ifndef QP_ADMIN_GUARDS_H
#define QP_ADMIN_GUARDS_H

#include "admin/form.h"
#include "admin/host.h"
#include "base/secret.h"
#include "http/message.h"
#include "http/refusal.h"

/* authority: what the client connected to, by its Host field. */
const struct qp_refusal *qp_guard_host(const struct qp_admin_names *names, const struct qp_message *head,
                                       struct qp_slice authority);
/* token NULL: nothing needs it. As a bearer token (RFC 6750 section 2.1) or as the password of Basic, whatever the user name (RFC 7617). */
const struct qp_refusal *qp_guard_token(const struct qp_secret *token, const struct qp_message *head);
/* A browser says where a form comes from, and no page can make it lie. */
const struct qp_refusal *qp_guard_origin(const struct qp_admin_names *names, const struct qp_message *head,
                                         struct qp_slice authority);
/* A body is a form, or there is none. */
const struct qp_refusal *qp_guard_form_type(const struct qp_message *head);
/* csrf: what belongs to the cookie. Where the field stands, it is what counts. */
const struct qp_refusal *qp_guard_csrf(struct qp_slice csrf, const struct qp_message *head,
                                       const struct qp_form *form);
/* A sign-in is begun by who follows the link on our own pages or types the address: an authorization server that knows the visitor asks nothing,
 * so that any other page could have the account signed in anew, as him. was_sent: we sent him here ourselves, from another name of ours. Browsers say
 * this of https addresses and of this machine's own; who says nothing is let through. */
const struct qp_refusal *qp_guard_navigation(const struct qp_message *head, bool was_sent);

/* By one of the Accept fields, by name and not by a pattern. */
bool qp_admin_accepts(const struct qp_message *head, struct qp_slice type);

#endif
