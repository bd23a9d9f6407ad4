/* revoke.c - POST /oauth2/revoke (RFC 7009): a refresh token or an access token, and with it all that its sign-in gave. */
#include "answers.h"
#include "client.h"

enum { FAILURES_BEGIN = 400 };

static void refuse(struct si_call *call, const char *error, const char *description)
{
    si_lock(call->world);
    call->world->counters.revocation[SI_REVOCATION_REFUSED]++;
    si_unlock(call->world);
    si_client_refuse(call, error, description);
    si_head_line(call, "Cache-Control", "no-store");
    si_reply_out(call, call->status, "application/json");
}

/* An unknown token is as good as revoked: 200 (section 2.2). The token_type_hint is only a hint; both kinds are looked through. */
void si_revoke(struct si_call *call)
{
    struct si_world *world = call->world;
    char token[SI_FORM_VALUE];
    const char *error = si_client_authenticate(call);
    unsigned tokens = si_client_param(call, "token", token);
    if (error) {
        refuse(call, error, "Refused.");
        return;
    }
    if (tokens != 1) {
        refuse(call, "invalid_request", "One token is wanted.");
        return;
    }
    bool fails = call->knobs.revoke_status >= FAILURES_BEGIN;
    enum si_revocation what = SI_REVOCATION_FAILED;
    si_lock(world);
    if (!fails)
        what = si_tokens_revoke_one(&world->tokens, qp_slice_str(token)) ? SI_REVOCATION_DONE
                                                                         : SI_REVOCATION_UNKNOWN;
    world->counters.revocation[what]++;
    si_unlock(world);
    si_head_line(call, "Cache-Control", "no-store");
    si_reply_out(call, fails ? (unsigned)call->knobs.revoke_status : 200, NULL);
}
