/* authorize.c - GET /oauth2/auth and the pages behind it: sign-in, consent, and back with a code or an error.
 *
 * RFC 6749 section 4.1, PKCE by RFC 7636, `iss` by RFC 9207. A client or a redirect URI that is not right is told to the person and to nobody
 * else: to redirect there would make this an open redirector.
 */
#include "answers.h"
#include "client.h"
#include "http/write.h"
#include "pages.h"

/* The parameters of the authorization request, decoded; empty: absent. */
struct ask {
    char client_id[SI_FORM_VALUE];
    char redirect_uri[SI_FORM_VALUE];
    char response_type[SI_FORM_VALUE];
    char scope[SI_FORM_VALUE];
    char state[SI_FORM_VALUE];
    char challenge[SI_FORM_VALUE];
    char method[SI_FORM_VALUE];
    bool clear_client; /* client_id and redirect_uri stand there once each */
    bool clear;        /* nothing stands there twice, nor is malformed */
};

/* ---- answers ---- */

static void count_page(struct si_call *call, enum si_pages what)
{
    si_lock(call->world);
    call->world->counters.pages[what]++;
    si_unlock(call->world);
}

static struct si_page page_of(struct si_call *call)
{
    return (struct si_page){.out = &call->out, .datacenter = call->knobs.datacenter};
}

static void secure(struct si_call *call)
{
    si_head_line(call, "Cache-Control", "no-store");
    si_head_line(call, "Referrer-Policy", "no-referrer");
}

/* form-action is left open: browsers hold a redirect after a form to it, and this one leads to the client. */
static void send_page(struct si_call *call, unsigned status)
{
    secure(call);
    si_head_line(call, "Content-Security-Policy",
                 "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'");
    si_head_line(call, "X-Frame-Options", "DENY");
    si_reply_out(call, status, "text/html; charset=utf-8");
}

static void send_fault(struct si_call *call, const char *title, const char *text, const char *remedy)
{
    struct si_page page = page_of(call);
    count_page(call, SI_PAGES_SHOWN_FAULT);
    si_page_fault(&page, title, text, remedy);
    send_page(call, 400);
}

static void put_pair(struct qp_buf *out, char *separator, const char *name, struct qp_slice value)
{
    if (value.len == 0)
        return;
    qp_buf_append_char(out, *separator);
    *separator = '&';
    qp_buf_append_str(out, name);
    qp_buf_append_char(out, '=');
    si_form_encode(out, value);
}

static void put_issuer(const struct si_call *call, struct qp_buf *out)
{
    if (strcmp(call->knobs.iss, SI_ISS_SELF) != 0) {
        qp_buf_append_str(out, call->knobs.iss);
        return;
    }
    qp_buf_append_str(out, "https://");
    qp_buf_append(out, qp_request_authority(call->request));
}

/* Back to the client. error NULL: with the code; description NULL: without one. */
static void send_back(struct si_call *call, const char *redirect_uri, const char *state, const char *code,
                      const char *error, const char *description)
{
    struct qp_buf location = {0};
    struct qp_buf issuer = {0};
    char separator = strchr(redirect_uri, '?') ? '&' : '?';
    put_issuer(call, &issuer);
    qp_buf_append_str(&location, redirect_uri);
    put_pair(&location, &separator, "code", qp_slice_str(code));
    put_pair(&location, &separator, "error", qp_slice_str(error));
    put_pair(&location, &separator, "error_description", qp_slice_str(description));
    put_pair(&location, &separator, "state", qp_slice_str(state));
    put_pair(&location, &separator, "iss", qp_buf_slice(&issuer));
    qp_write_field(&call->head, QP_SLICE("Location"), qp_buf_slice(&location));
    qp_buf_deinit(&location);
    qp_buf_deinit(&issuer);
    secure(call);
    si_reply_out(call, 303, NULL); /* 303, not 307: the password must not go along (RFC 9700 section 4.12) */
}

/* ---- what is wrong with a request ---- */

static bool is_registered(const struct si_opts *opts, const char *uri)
{
    for (unsigned i = 0; i < opts->redirect_uri_count; i++)
        if (strcmp(opts->redirect_uris[i], uri) == 0)
            return true;
    return false;
}

/* "http://" on this computer, with or without a port (RFC 8252 section 7.3), without a fragment. */
static bool is_loopback(const char *uri)
{
    static const char *const hosts[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};
    for (const char *c = uri; *c; c++)
        if (*c <= ' ' || *c > '~' || *c == '#')
            return false;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        size_t len = strlen(hosts[i]);
        if (strncmp(uri, hosts[i], len) != 0)
            continue;
        const char *rest = uri + len;
        if (*rest == ':')
            rest += 1 + strspn(rest + 1, "0123456789");
        return *rest == '/' || *rest == '\0';
    }
    return false;
}

/* RFC 6749 appendix A.5. Without a state a client could not tell whose answer it gets, so here it must be there. */
static bool state_is_valid(const char *state)
{
    for (const char *c = state; *c; c++)
        if (*c < ' ' || *c > '~')
            return false;
    return *state != '\0';
}

/* Whether each word is one that Qualtrics could know: verb:resource, or a word for offline access. */
static bool scope_is_known(const struct si_call *call, const char *scope)
{
    struct qp_slice rest = qp_slice_str(scope);
    while (rest.at) {
        struct qp_slice resource = qp_slice_cut(&rest, ' ');
        if (qp_slice_is(resource, QP_SLICE("offline")) ||
            (resource.len > 0 && qp_slice_is(resource, qp_slice_str(call->knobs.offline_word))))
            continue;
        struct qp_slice verb = qp_slice_cut(&resource, ':');
        bool is_verb = qp_slice_is(verb, QP_SLICE("read")) || qp_slice_is(verb, QP_SLICE("write")) ||
                       qp_slice_is(verb, QP_SLICE("manage"));
        if (!is_verb || resource.len == 0)
            return false;
        for (size_t i = 0; i < resource.len; i++)
            if (resource.at[i] != '_' && (resource.at[i] < 'a' || resource.at[i] > 'z'))
                return false;
    }
    return true;
}

static bool take(const struct si_call *call, const char *name, char *out)
{
    return si_client_param(call, name, out) <= 1;
}

static void read_ask(const struct si_call *call, struct ask *ask)
{
    ask->clear_client =
        take(call, "client_id", ask->client_id) && take(call, "redirect_uri", ask->redirect_uri);
    bool clear = take(call, "response_type", ask->response_type);
    clear = take(call, "scope", ask->scope) && clear;
    clear = take(call, "code_challenge", ask->challenge) && clear;
    clear = take(call, "code_challenge_method", ask->method) && clear;
    ask->clear = take(call, "state", ask->state) && clear;
    if (!state_is_valid(ask->state))
        ask->state[0] = '\0';
    if (!ask->scope[0])
        memcpy(ask->scope, SI_DEFAULT_SCOPE, sizeof(SI_DEFAULT_SCOPE));
}

/* True if the person was shown what is wrong with the client. */
static bool show_client_fault(struct si_call *call, const struct ask *ask)
{
    const struct si_opts *opts = &call->world->opts;
    static const char remedy[] =
        "You were not sent back, because the link may come from somebody else. Go back to "
        "the application, and correct its settings there.";
    if (!ask->clear_client || strcmp(ask->client_id, opts->client_id) != 0) {
        send_fault(call, "Unknown application", "No application is registered here with this client_id.",
                   remedy);
        return true;
    }
    bool good =
        opts->redirect_uri_count ? is_registered(opts, ask->redirect_uri) : is_loopback(ask->redirect_uri);
    if (!good)
        send_fault(call, "Wrong redirect address",
                   "The redirect_uri is not one that is registered for this application, letter by letter.",
                   remedy);
    return !good;
}

/* True if the client was sent an error. */
static bool send_fault_back(struct si_call *call, const struct ask *ask)
{
    bool needs_pkce = call->knobs.require_pkce || call->world->opts.is_public;
    bool is_s256 = strcmp(ask->method, "S256") == 0; /* absent means "plain", which nobody should take */
    const struct {
        bool wrong;
        const char *error;
        const char *description;
    } rules[] = {
        {call->knobs.auth_error[0], call->knobs.auth_error, "Asked for by a knob."},
        {!ask->clear, "invalid_request", "A parameter is malformed, or stands there twice."},
        {!ask->state[0], "invalid_request", "state is missing, or not printable ASCII."},
        {!ask->response_type[0], "invalid_request", "response_type is missing."},
        {strcmp(ask->response_type, "code") != 0, "unsupported_response_type", "Only code is known."},
        {needs_pkce && !ask->challenge[0], "invalid_request", "code_challenge is missing: PKCE is required."},
        {ask->challenge[0] && !is_s256, "invalid_request", "code_challenge_method must be S256."},
        {ask->challenge[0] && !si_challenge_is_valid(ask->challenge), "invalid_request",
         "code_challenge is not 32 bytes in base64url."},
        {!scope_is_known(call, ask->scope), "invalid_scope", "A scope is unknown or malformed."},
    };
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (!rules[i].wrong)
            continue;
        count_page(call, SI_PAGES_SENT_FAULT);
        send_back(call, ask->redirect_uri, ask->state, NULL, rules[i].error, rules[i].description);
        return true;
    }
    return false;
}

/* ---- the way ---- */

/* What goes back to the client, taken out of the record while the lock is held. */
struct back {
    char redirect_uri[SI_FORM_VALUE];
    char state[SI_FORM_VALUE];
    char code[sizeof(((struct si_sign_in *)0)->code)];
};

/* Ends the pages. The caller holds the lock. */
static void decide(struct si_call *call, struct si_sign_in *sign_in, bool allow, struct back *back)
{
    struct si_world *world = call->world;
    sign_in->stage = SI_STAGE_OVER;
    if (allow)
        si_sign_in_issue(sign_in, si_next_id(world), (uint64_t)call->knobs.code_life_s);
    world->counters.pages[allow ? SI_PAGES_ALLOWED : SI_PAGES_DENIED]++;
    memcpy(back->redirect_uri, sign_in->redirect_uri, sizeof(back->redirect_uri));
    memcpy(back->state, sign_in->state, sizeof(back->state));
    memcpy(back->code, sign_in->code, sizeof(back->code));
}

void si_authorize(struct si_call *call)
{
    struct si_world *world = call->world;
    struct si_page page = page_of(call);
    struct ask ask = {0};
    struct back back;
    read_ask(call, &ask);
    if (show_client_fault(call, &ask) || send_fault_back(call, &ask))
        return;
    si_lock(world);
    struct si_sign_in *sign_in = si_sign_in_begin(&world->sign_ins, si_next_id(world));
    world->counters.pages[SI_PAGES_BEGUN]++;
    memcpy(sign_in->redirect_uri, ask.redirect_uri, sizeof(ask.redirect_uri));
    memcpy(sign_in->state, ask.state, sizeof(ask.state));
    memcpy(sign_in->scope, ask.scope, sizeof(ask.scope));
    memcpy(sign_in->challenge, ask.challenge, sizeof(sign_in->challenge));
    if (call->knobs.auto_consent) {
        sign_in->user = &world->opts.users[0];
        decide(call, sign_in, true, &back);
    } else {
        si_page_sign_in(&page, sign_in, world->opts.client_id, "", false);
    }
    si_unlock(world);
    if (call->knobs.auto_consent)
        send_back(call, back.redirect_uri, back.state, back.code, NULL, NULL);
    else
        send_page(call, 200);
}

static void send_over(struct si_call *call)
{
    send_fault(call, "This sign-in is over", "It was finished, or it waited for more than ten minutes.",
               "Go back to the application and begin again.");
}

static const struct si_user *find_user(const struct si_opts *opts, const char *name, const char *password)
{
    for (unsigned i = 0; i < opts->user_count; i++)
        if (qp_slice_is(opts->users[i].name, qp_slice_str(name)) &&
            strcmp(opts->users[i].password, password) == 0)
            return &opts->users[i];
    return NULL;
}

void si_sign_in(struct si_call *call)
{
    struct si_world *world = call->world;
    struct si_page page = page_of(call);
    char flow[SI_FORM_VALUE];
    char name[SI_FORM_VALUE];
    char password[SI_FORM_VALUE];
    si_client_param(call, "flow", flow);
    si_client_param(call, "username", name);
    si_client_param(call, "password", password);
    const struct si_user *user = find_user(&world->opts, name, password);
    si_lock(world);
    struct si_sign_in *sign_in = si_sign_in_find(&world->sign_ins, flow);
    if (sign_in) {
        sign_in->user = user;
        sign_in->stage = user ? SI_STAGE_SIGNED_IN : SI_STAGE_ASKED;
        world->counters.pages[SI_PAGES_WRONG_PASSWORD] += !user;
    }
    if (sign_in && user)
        si_page_consent(&page, sign_in, world->opts.client_id);
    else if (sign_in)
        si_page_sign_in(&page, sign_in, world->opts.client_id, name, true);
    si_unlock(world);
    if (sign_in)
        send_page(call, 200);
    else
        send_over(call);
}

void si_consent(struct si_call *call)
{
    struct si_world *world = call->world;
    struct back back;
    char flow[SI_FORM_VALUE];
    char decision[SI_FORM_VALUE];
    si_client_param(call, "flow", flow);
    si_client_param(call, "decision", decision);
    bool allow = strcmp(decision, "allow") == 0;
    si_lock(world);
    struct si_sign_in *sign_in = si_sign_in_find(&world->sign_ins, flow);
    bool may_decide = sign_in && sign_in->stage == SI_STAGE_SIGNED_IN;
    if (may_decide)
        decide(call, sign_in, allow, &back);
    si_unlock(world);
    if (!may_decide)
        send_over(call);
    else if (allow)
        send_back(call, back.redirect_uri, back.state, back.code, NULL, NULL);
    else
        send_back(call, back.redirect_uri, back.state, NULL, "access_denied", "The person did not allow it.");
}
