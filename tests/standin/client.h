/* client.h - what the OAuth endpoints that clients call have in common: parameters, who the client is, errors.
 *
 * Parameters come in a form body or in the query. The client authenticates by Basic or by parameters, not by both (RFC 6749 section
 * 2.3); a public one says its client_id alone.
 */
#ifndef STANDIN_CLIENT_H
#define STANDIN_CLIENT_H

#include "call.h"
#include "form.h"

/* From query and form body together, decoded, empty if it is absent. Gives how often it came: more than once is an error (RFC 6749 section 3.2). */
unsigned si_client_param(const struct si_call *call, const char *name, char out[SI_FORM_VALUE]);
/* NULL when the client is who it says; else the error. */
const char *si_client_authenticate(const struct si_call *call);
/* Writes an error (RFC 6749 section 5.2) to call->out, call->head and call->status, and sends nothing. */
void si_client_refuse(struct si_call *call, const char *error, const char *description);

#endif
