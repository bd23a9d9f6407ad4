/* routes.c - THE table of what the stand-in answers. */
#include "answers.h"

static void unknown(struct si_call *call)
{
    si_reply_error(call, 404, NULL, "The requested resource does not exist.");
}

#define V3      "/API/v3/"
#define EXPORTS V3 "surveys/{}/export-responses"
#define IMPORTS V3 "surveys/{}/import-responses"

static const struct si_route routes[] = {
    {SI_ROUTE_AUTHORIZE, "GET", "/oauth2/auth", SI_OPEN | SI_PLAIN, si_authorize},
    {SI_ROUTE_SIGN_IN, "POST", "/oauth2/sign-in", SI_OPEN | SI_COLLECT | SI_PLAIN, si_sign_in},
    {SI_ROUTE_CONSENT, "POST", "/oauth2/consent", SI_OPEN | SI_COLLECT | SI_PLAIN, si_consent},
    {SI_ROUTE_TOKEN, "POST", "/oauth2/token", SI_OPEN | SI_COLLECT | SI_PLAIN, si_token},
    {SI_ROUTE_REVOKE, "POST", "/oauth2/revoke", SI_OPEN | SI_COLLECT | SI_PLAIN, si_revoke},
    {SI_ROUTE_WHOAMI, "GET", V3 "whoami", 0, si_whoami},
    {SI_ROUTE_SURVEYS, "GET", V3 "surveys", 0, si_surveys},
    {SI_ROUTE_SURVEY, "GET", V3 "surveys/{}", 0, si_survey},
    {SI_ROUTE_DEFINITION, "GET", V3 "survey-definitions/{}", 0, si_definition},
    {SI_ROUTE_EXPORT_START, "POST", EXPORTS, SI_COLLECT | SI_POST, si_export_start},
    {SI_ROUTE_EXPORT_POLL, "GET", EXPORTS "/{}", 0, si_export_poll},
    {SI_ROUTE_EXPORT_FILE, "GET", EXPORTS "/{}/file", 0, si_export_file},
    {SI_ROUTE_LEGACY_START, "POST", V3 "responseexports", SI_COLLECT | SI_POST, si_legacy_start},
    {SI_ROUTE_LEGACY_POLL, "GET", V3 "responseexports/{}", 0, si_legacy_poll},
    {SI_ROUTE_LEGACY_FILE, "GET", V3 "responseexports/{}/file", 0, si_legacy_file},
    {SI_ROUTE_IMPORT_START, "POST", IMPORTS, SI_POST, si_import_start},
    {SI_ROUTE_IMPORT_POLL, "GET", IMPORTS "/{}", 0, si_import_poll},
    {SI_ROUTE_DIRECTORIES, "GET", V3 "directories", 0, si_directories},
    {SI_ROUTE_MAILING_LISTS, "GET", V3 "directories/{}/mailinglists", 0, si_mailing_lists},
    {SI_ROUTE_CONTACTS, "GET", V3 "directories/{}/mailinglists/{}/contacts", 0, si_contacts},
    {SI_ROUTE_DISTRIBUTIONS, "GET", V3 "distributions", 0, si_distributions},
    {SI_ROUTE_DISTRIBUTE, "POST", V3 "distributions", SI_COLLECT | SI_POST, si_distribute},
    {SI_ROUTE_LINKS, "GET", V3 "distributions/{}/links", 0, si_links},
    {SI_ROUTE_SUBSCRIBE, "POST", V3 "eventsubscriptions", SI_COLLECT | SI_POST, si_subscribe},
    {SI_ROUTE_SUBSCRIPTION, "GET", V3 "eventsubscriptions/{}", 0, si_subscription},
    {SI_ROUTE_UNSUBSCRIBE, "DELETE", V3 "eventsubscriptions/{}", 0, si_unsubscribe},
    {SI_ROUTE_ECHO, "*", V3 "_echo", 0, si_echo_answer},
    {SI_ROUTE_BLOB, "GET", V3 "_blob", 0, si_blob},
    {SI_ROUTE_SLOW, "*", V3 "_slow", 0, si_slow},
    {SI_ROUTE_STATUS, "*", V3 "_status/{}", 0, si_status},
    {SI_ROUTE_CUT, "*", V3 "_cut", 0, si_cut},
    {SI_ROUTE_NEXTPAGE, "GET", V3 "_nextpage", 0, si_nextpage},
    {SI_ROUTE_EARLY, "*", V3 "_early", SI_AT_HEAD, si_early},
};
static const struct si_route gated_unknown = {SI_ROUTE_UNKNOWN, "*", "", 0, unknown};
static const struct si_route open_unknown = {SI_ROUTE_UNKNOWN, "*", "", SI_OPEN | SI_PLAIN, unknown};

static bool path_matches(const struct si_call *call, const char *pattern)
{
    struct qp_slice rest = qp_slice_str(pattern);
    unsigned at = 0;
    while (rest.at) {
        struct qp_slice part = qp_slice_cut(&rest, '/');
        if (part.len == 0)
            continue;
        if (at == call->segments)
            return false;
        if (!qp_slice_is(part, QP_SLICE("{}")) && !qp_slice_is(part, call->segment[at]))
            return false;
        at++;
    }
    return at == call->segments;
}

/* HEAD is asked for what GET would give; the server leaves the body out. */
static bool method_matches(struct qp_slice method, const char *wanted)
{
    return wanted[0] == '*' || qp_slice_is(method, qp_slice_str(wanted)) ||
           (qp_slice_is(method, QP_SLICE("HEAD")) && qp_slice_is(QP_SLICE("GET"), qp_slice_str(wanted)));
}

const struct si_route *si_route_find(struct si_call *call)
{
    struct qp_slice method = qp_request_message(call->request)->method;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        if (method_matches(method, routes[i].method) && path_matches(call, routes[i].path))
            return &routes[i];
    bool api = call->segments >= 2 && qp_slice_is(call->segment[0], QP_SLICE("API")) &&
               qp_slice_is(call->segment[1], QP_SLICE("v3"));
    return api ? &gated_unknown : &open_unknown;
}
