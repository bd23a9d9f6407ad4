#include "form.h"
#include <mbedtls/base64.h>

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool si_form_decode(struct qp_slice text, char out[SI_FORM_VALUE])
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i] == '+' ? ' ' : text.at[i];
        if (text.at[i] == '%') {
            int high = i + 2 < text.len ? digit_of(text.at[i + 1]) : -1;
            int low = i + 2 < text.len ? digit_of(text.at[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0' || len + 1 >= SI_FORM_VALUE)
            return false;
        out[len++] = c;
    }
    out[len] = '\0';
    return true;
}

bool si_form_is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void si_form_encode(struct qp_buf *out, struct qp_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (si_form_is_unreserved(text.at[i]))
            qp_buf_append_char(out, text.at[i]);
        else
            qp_buf_append_fmt(out, "%%%02X", (unsigned char)text.at[i]);
    }
}

static bool scope_holds(const char *scope, struct qp_slice word)
{
    struct qp_slice rest = qp_slice_str(scope);
    while (rest.at)
        if (qp_slice_is(qp_slice_cut(&rest, ' '), word))
            return true;
    return false;
}

bool si_scope_is_within(const char *scope, const char *other)
{
    struct qp_slice rest = qp_slice_str(scope);
    while (rest.at) {
        struct qp_slice word = qp_slice_cut(&rest, ' ');
        if (word.len > 0 && !scope_holds(other, word))
            return false;
    }
    return true;
}

unsigned si_form_find(struct qp_slice pairs, const char *name, char out[SI_FORM_VALUE])
{
    unsigned found = 0;
    while (pairs.at) {
        struct qp_slice pair = qp_slice_cut(&pairs, '&');
        struct qp_slice key = qp_slice_cut(&pair, '=');
        if (!qp_slice_is(key, qp_slice_str(name)))
            continue;
        if (found++ > 0 || si_form_decode(pair, out))
            continue;
        out[0] = '\0';
        return 2; /* as bad as a repeated one: the request is refused */
    }
    return found;
}

bool si_form_basic(struct qp_slice value, char id[SI_FORM_VALUE], char secret[SI_FORM_VALUE])
{
    unsigned char plain[2 * SI_FORM_VALUE];
    size_t len = 0;
    struct qp_slice scheme = qp_slice_cut(&value, ' ');
    if (!value.at || !qp_slice_is_nocase(scheme, QP_SLICE("basic")))
        return false;
    value = qp_slice_trim(value);
    if (mbedtls_base64_decode(plain, sizeof(plain), &len, (const unsigned char *)value.at, value.len) != 0)
        return false;
    struct qp_slice rest = qp_slice((const char *)plain, len);
    struct qp_slice first = qp_slice_cut(&rest, ':');
    return rest.at && si_form_decode(first, id) && si_form_decode(rest, secret);
}
