#include "client.h"

unsigned si_client_param(const struct si_call *call, const char *name, char out[SI_FORM_VALUE])
{
    struct qp_slice type = si_field(call, "Content-Type");
    struct qp_slice form = QP_SLICE("application/x-www-form-urlencoded");
    out[0] = '\0';
    unsigned found = si_form_find(call->query, name, out);
    bool is_form = type.len >= form.len && qp_slice_is_nocase(qp_slice(type.at, form.len), form);
    char again[SI_FORM_VALUE];
    if (is_form && qp_buf_len(&call->body) > 0)
        found += si_form_find(qp_buf_slice(&call->body), name, found ? again : out);
    return found;
}

const char *si_client_authenticate(const struct si_call *call)
{
    const struct si_opts *opts = &call->world->opts;
    char id[SI_FORM_VALUE];
    char secret[SI_FORM_VALUE];
    struct qp_slice basic = si_field(call, "Authorization");
    unsigned ids = si_client_param(call, "client_id", id);
    unsigned secrets = si_client_param(call, "client_secret", secret);
    if (ids > 1 || secrets > 1 || (basic.at && secrets))
        return "invalid_request";
    if (basic.at && !si_form_basic(basic, id, secret))
        return "invalid_client";
    bool has_secret = basic.at || secrets;
    if (strcmp(id, opts->client_id) != 0 || has_secret == opts->is_public)
        return "invalid_client";
    return opts->is_public || strcmp(secret, opts->client_secret) == 0 ? NULL : "invalid_client";
}

void si_client_refuse(struct si_call *call, const char *error, const char *description)
{
    call->status = strcmp(error, "invalid_client") == 0 ? 401 : 400;
    if (call->status == 401 && si_field(call, "Authorization").at)
        si_head_line(call, "WWW-Authenticate", "Basic realm=\"oauth2\"");
    qp_buf_append_fmt(&call->out, "{\"error\":\"%s\",\"error_description\":\"%s\"}", error, description);
}
