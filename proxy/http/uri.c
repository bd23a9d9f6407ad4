#include "http/uri.h"

#include "http/chars.h"
#include <arpa/inet.h>

enum { MAX_PORT = 65535, MAX_PORT_DIGITS = 5 };

struct authority {
    struct qp_slice host; /* without brackets */
    struct qp_slice port; /* at == NULL: no colon */
};

static struct qp_slice from(struct qp_slice text, size_t offset)
{
    return qp_slice(text.at + offset, text.len - offset);
}

/* Up to the first of two characters, or all. */
static size_t span_until(struct qp_slice text, char a, char b)
{
    size_t i = 0;
    while (i < text.len && text.at[i] != a && text.at[i] != b)
        i++;
    return i;
}

/* RFC 3986 section 3.2.2: unreserved, sub-delims and whole percent triplets. */
static bool is_reg_name(struct qp_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (qp_char_is(text.at[i], QP_CHAR_HOST))
            continue;
        if (text.at[i] != '%' || text.len - i < 3 || !qp_chars_are(qp_slice(text.at + i + 1, 2), QP_CHAR_HEX))
            return false;
        i += 2;
    }
    return text.len > 0;
}

/* RFC 3986's IPv6address. An IPvFuture is nobody's address yet. */
static bool is_ipv6(struct qp_slice text)
{
    struct in6_addr ignored;
    char copy[INET6_ADDRSTRLEN];
    if (text.len >= sizeof(copy) || memchr(text.at, '\0', text.len))
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    return inet_pton(AF_INET6, copy, &ignored) == 1;
}

/* RFC 3986 allows an empty port behind the colon; it means the default. */
static bool is_port(struct qp_slice text)
{
    uint64_t value = 0;
    return text.len == 0 ||
           (text.len <= MAX_PORT_DIGITS && qp_slice_to_u64(text, &value) && value <= MAX_PORT);
}

static bool split_authority(struct qp_slice text, struct authority *out)
{
    if (text.len == 0)
        return false;
    const bool bracketed = text.at[0] == '[';
    const size_t host_end = span_until(text, bracketed ? ']' : ':', bracketed ? ']' : ':');
    if (bracketed && host_end == text.len)
        return false;
    out->host = bracketed ? qp_slice(text.at + 1, host_end - 1) : qp_slice(text.at, host_end);
    struct qp_slice rest = from(text, bracketed ? host_end + 1 : host_end);
    if (rest.len > 0 && rest.at[0] != ':')
        return false;
    out->port = rest.len > 0 ? from(rest, 1) : QP_SLICE_NONE;
    return is_port(out->port) && (bracketed ? is_ipv6(out->host) : is_reg_name(out->host));
}

bool qp_is_authority(struct qp_slice text)
{
    struct authority ignored;
    return split_authority(text, &ignored);
}

/* Cuts "http://" or "https://" off, in any case; false for every other scheme. */
static bool cut_scheme(struct qp_slice *text, bool *https)
{
    static const struct qp_slice schemes[] = {QP_SLICE("http://"), QP_SLICE("https://")};
    for (size_t i = 0; i < 2; i++) {
        if (text->len < schemes[i].len || !qp_slice_is_nocase(qp_slice(text->at, schemes[i].len), schemes[i]))
            continue;
        *text = from(*text, schemes[i].len);
        *https = i == 1;
        return true;
    }
    return false;
}

/* RFC 9112 section 3.2.2. */
static bool parse_absolute(struct qp_slice target, struct qp_target *out)
{
    bool https;
    if (!cut_scheme(&target, &https))
        return false;
    const size_t end = span_until(target, '/', '?');
    out->form = QP_TARGET_ABSOLUTE;
    out->authority = qp_slice(target.at, end);
    out->path = from(target, end);
    if (out->path.len == 0) {
        out->path = QP_SLICE("/");
    } else if (out->path.at[0] == '?') {
        out->query = out->path;
        out->path.len = 0;
    }
    return qp_is_authority(out->authority);
}

/* RFC 9112 section 3.2.3: always with a port, and only for CONNECT. */
static bool parse_authority_form(struct qp_slice target, struct qp_target *out)
{
    struct authority parts;
    out->form = QP_TARGET_AUTHORITY;
    out->authority = target;
    return split_authority(target, &parts) && parts.port.len > 0;
}

static bool parse_form(struct qp_slice method, struct qp_slice target, struct qp_target *out)
{
    if (qp_slice_is(method, QP_SLICE("CONNECT")))
        return parse_authority_form(target, out);
    if (target.at[0] == '/') {
        out->form = QP_TARGET_ORIGIN;
        out->path = target;
        return true;
    }
    if (qp_slice_is(target, QP_SLICE("*"))) {
        out->form = QP_TARGET_ASTERISK;
        return qp_slice_is(method, QP_SLICE("OPTIONS"));
    }
    return parse_absolute(target, out);
}

bool qp_target_parse(struct qp_slice method, struct qp_slice target, struct qp_target *out)
{
    struct qp_target parsed = {0};
    if (target.len == 0 || !qp_chars_are(target, QP_CHAR_TARGET) || !parse_form(method, target, &parsed))
        return false;
    *out = parsed;
    return true;
}

bool qp_url_parse(struct qp_slice text, struct qp_url *out)
{
    struct qp_url url = {0};
    struct authority parts;
    uint64_t port = 0;
    if (!qp_chars_are(text, QP_CHAR_TARGET) || !cut_scheme(&text, &url.https))
        return false;
    const size_t end = span_until(text, '/', '?');
    url.rest = from(text, end);
    if (url.rest.len > 0 &&
        url.rest.at[0] == '?') /* a path is promised; whoever writes a URL can write its '/' */
        return false;
    if (!split_authority(qp_slice(text.at, end), &parts))
        return false;
    url.host = parts.host;
    url.has_port = parts.port.len > 0 && qp_slice_to_u64(parts.port, &port);
    if (url.has_port && port == 0) /* nothing listens there */
        return false;
    url.port = url.has_port ? (uint16_t)port : url.https ? 443 : 80;
    *out = url;
    return true;
}
