#include "relay/location.h"

#include "http/uri.h"

static const struct qp_slice API = QP_SLICE("/API/");

/* Of a URL of the account's own API: path, query and fragment. Unset: it is none. */
static struct qp_slice own_path(const struct qp_links_rules *rules, struct qp_slice value)
{
    struct qp_url url;
    struct qp_slice rest = value;
    struct qp_slice text = qp_slice_cut(&rest, '#');
    if (!qp_url_parse(text, &url) || !url.https || url.port != rules->origin_port)
        return QP_SLICE_NONE;
    if (!qp_slice_is_nocase(url.host, rules->origin_host) || !qp_slice_starts(url.rest, API))
        return QP_SLICE_NONE;
    return qp_slice(url.rest.at, (size_t)(value.at + value.len - url.rest.at));
}

bool qp_location_lead_back(const struct qp_links_rules *rules, struct qp_slice path_prefix,
                           struct qp_slice value, struct qp_buf *out)
{
    const bool is_reference = qp_slice_starts(value, API);
    const struct qp_slice path = is_reference ? value : own_path(rules, value);
    const struct qp_slice front = is_reference ? path_prefix : rules->base;
    if (!path.at || front.len == 0)
        return false;
    qp_buf_append(out, front);
    qp_buf_append(out, path);
    return true;
}
