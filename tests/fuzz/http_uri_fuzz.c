/* Request targets, authorities and URLs. Input: the text. What must hold: slices lie in the text, the parts
 * make up the whole, and what passes holds no byte that could end a line or a word. */
#include "base/check.h"
#include "http/uri.h"

static bool lies_in(struct qp_slice part, struct qp_slice text)
{
    return part.len == 0 || (part.at >= text.at && part.at + part.len <= text.at + text.len);
}

static void require_clean(struct qp_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        qp_require(text.at[i] > ' ' && text.at[i] < 0x7f && text.at[i] != '#');
}

static void check_target(struct qp_slice method, struct qp_slice text)
{
    struct qp_target target;
    if (!qp_target_parse(method, text, &target))
        return;
    require_clean(text);
    qp_require(lies_in(target.authority, text) && lies_in(target.query, text));
    switch (target.form) {
    case QP_TARGET_ORIGIN:
        qp_require(target.path.at == text.at && target.path.len == text.len && text.at[0] == '/');
        break;
    case QP_TARGET_ABSOLUTE:
        qp_require(qp_is_authority(target.authority) &&
                   !memchr(target.authority.at, '@', target.authority.len));
        qp_require((target.path.len > 0 && target.path.at[0] == '/') || target.query.at[0] == '?');
        break;
    case QP_TARGET_AUTHORITY:
        qp_require(qp_is_authority(target.authority));
        break;
    case QP_TARGET_ASTERISK:
        qp_require(text.len == 1);
        break;
    }
}

static void check_url(struct qp_slice text)
{
    struct qp_url url;
    struct qp_target target;
    if (!qp_url_parse(text, &url))
        return;
    require_clean(text);
    qp_require(lies_in(url.host, text) && lies_in(url.rest, text) && url.host.len > 0 && url.port > 0);
    qp_require(url.rest.len == 0 || url.rest.at[0] == '/');
    qp_require(url.rest.len == 0 || url.rest.at + url.rest.len == text.at + text.len);
    /* An accepted URL is an absolute-form target with the same path. */
    qp_require(qp_target_parse(QP_SLICE("GET"), text, &target) && target.form == QP_TARGET_ABSOLUTE);
    qp_require(qp_slice_is(target.path, url.rest.len > 0 ? url.rest : QP_SLICE("/")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct qp_slice text = qp_slice((const char *)data, size);
    check_target(QP_SLICE("GET"), text);
    check_target(QP_SLICE("OPTIONS"), text);
    check_target(QP_SLICE("CONNECT"), text);
    check_url(text);
    if (qp_is_authority(text))
        require_clean(text);
    return 0;
}
