#include "config/url.h"
#include "base/alloc.h"
#include "config/values.h"

#include <strings.h>

static const char scheme[] = "https://";
static const char plain_scheme[] = "http://";

static bool is_plain(const char *text)
{
    return strncasecmp(text, plain_scheme, strlen(plain_scheme)) == 0;
}

/* RFC 3986's characters; a fragment would never be sent, so '#' is none of them. */
static bool is_path(const char *text)
{
    if (*text != '/' && *text != '\0')
        return false;
    for (; *text; text++)
        if (*text <= 0x20 || *text >= 0x7F || strchr("\"#<>\\^`{|}", *text))
            return false;
    return true;
}

static bool parse_port(struct qp_slice text, uint16_t *port)
{
    uint64_t number = 0;
    if (!qp_slice_to_u64(text, &number) || number == 0 || number > 65535)
        return false;
    *port = (uint16_t)number;
    return true;
}

/* "host", "host:port", "[address]", "[address]:port". Gives the host without brackets, at == NULL if it is
 * none. */
static struct qp_slice cut_host(struct qp_slice authority, struct qp_slice *port)
{
    *port = QP_SLICE_NONE;
    if (!qp_slice_starts(authority, QP_SLICE("["))) {
        struct qp_slice host = qp_slice_cut(&authority, ':');
        *port = authority;
        return host;
    }
    authority = qp_slice(authority.at + 1, authority.len - 1);
    struct qp_slice host = qp_slice_cut(&authority, ']');
    if (!authority.at || (authority.len && authority.at[0] != ':'))
        return QP_SLICE_NONE;
    if (authority.len)
        *port = qp_slice(authority.at + 1, authority.len - 1);
    return host;
}

static char *lower_copy(struct qp_slice text)
{
    char *copy = qp_strndup(text.at, text.len);
    qp_text_lower(copy);
    return copy;
}

static char *make_authority(const char *host, uint16_t port)
{
    char text[300];
    bool v6 = strchr(host, ':') != NULL;
    int len = snprintf(text, sizeof(text), "%s%s%s", v6 ? "[" : "", host, v6 ? "]" : "");
    if (port != 443)
        len += snprintf(text + len, sizeof(text) - (size_t)len, ":%u", port);
    return qp_strndup(text, (size_t)len);
}

/* What stands behind the scheme. */
static const char *cut_url(struct qp_config_url *url, const char *authority, bool path_allowed)
{
    const char *path = authority + strcspn(authority, "/?#");
    struct qp_slice port_text;
    struct qp_slice host = cut_host(qp_slice(authority, (size_t)(path - authority)), &port_text);
    if (memchr(authority, '@', (size_t)(path - authority)))
        return "a URL without user name and password: credentials have settings of their own";
    uint16_t port = 443;
    if (port_text.at && !parse_port(port_text, &port))
        return "a port from 1 to 65535 behind the colon";
    if (!path_allowed && *path && strcmp(path, "/") != 0)
        return "https://host[:port] without a path: requests bring their own";
    if (!is_path(path))
        return "a path that begins with a slash, without spaces and without '#'";
    char *host_text = host.at ? lower_copy(host) : NULL;
    if (!host_text || strlen(host_text) != host.len || !qp_is_host(host_text)) {
        qp_free(host_text);
        return "a host name or an address (IPv6 in brackets) behind https://";
    }
    url->host = host_text;
    url->port = port;
    url->authority = make_authority(host_text, port);
    url->path = qp_strndup(path, path_allowed ? strlen(path) : 0);
    return NULL;
}

const char *qp_config_url_parse(struct qp_config_url *url, bool path_allowed)
{
    if (is_plain(url->text))
        return "an https:// URL: over plain http the credentials and tokens could be read on the way";
    if (strncasecmp(url->text, scheme, strlen(scheme)) != 0)
        return path_allowed ? "https://host[:port]/path" : "https://host[:port]";
    return cut_url(url, url->text + strlen(scheme), path_allowed);
}

void qp_url_deinit(struct qp_config_url *url)
{
    qp_free(url->text);
    qp_free(url->host);
    qp_free(url->authority);
    qp_free(url->path);
    *url = (struct qp_config_url){0};
}

static const char *refuse(const char *text, bool path_allowed)
{
    struct qp_config_url url = {.text = qp_strndup(text, strlen(text))};
    const char *why = qp_config_url_parse(&url, path_allowed);
    qp_url_deinit(&url);
    return why;
}

const char *qp_refuse_origin(const char *text)
{
    return refuse(text, false);
}

const char *qp_refuse_token_url(const char *text)
{
    return refuse(text, true);
}

/* The addresses of RFC 8252 section 7.3, and the name that browsers and authorization servers treat alike. */
static bool is_loopback(const struct qp_config_url *url)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1", "::1"};
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
        if (strcmp(url->host, hosts[i]) == 0)
            return true;
    return false;
}

const char *qp_refuse_redirect_uri(const char *text)
{
    bool plain = is_plain(text);
    if (!plain && strncasecmp(text, scheme, strlen(scheme)) != 0)
        return "https://host[:port]/path, or http:// for localhost, 127.0.0.1 and [::1]";
    struct qp_config_url url = {0};
    const char *why = cut_url(&url, text + strlen(plain ? plain_scheme : scheme), true);
    if (!why && plain && !is_loopback(&url))
        why = "an https:// URI: http is for localhost, 127.0.0.1 and [::1] only, because the code of a "
              "sign-in could be read on the way";
    qp_url_deinit(&url);
    return why;
}

/* The ports of http and https, which browsers leave out of Host and Origin: such a name would never be called. */
static bool is_never_written(uint16_t port)
{
    return port == 80 || port == 443;
}

const char *qp_refuse_authority(const char *text)
{
    struct qp_slice port_text;
    struct qp_slice host = cut_host(qp_slice_str(text), &port_text);
    char *host_text = host.at ? qp_strndup(host.at, host.len) : NULL;
    uint16_t port = 0;
    bool fine = host_text && qp_is_host(host_text) && (!port_text.at || parse_port(port_text, &port));
    qp_free(host_text);
    if (fine && is_never_written(port))
        return "the name without the ports 80 and 443, which browsers leave out";
    return fine ? NULL : "a host name or an address (IPv6 in brackets), with or without a port";
}
