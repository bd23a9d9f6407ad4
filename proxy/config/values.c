#include "config/values.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first: formatting takes the first that divides. */
static const struct unit duration_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const struct unit size_units[] = {{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}};
enum {
    DURATION_UNITS = sizeof(duration_units) / sizeof(duration_units[0]),
    SIZE_UNITS = sizeof(size_units) / sizeof(size_units[0]),
};

static bool parse_with_unit(const char *text, const struct unit *units, size_t count, uint64_t *value)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t number = 0;
    if (!qp_slice_to_u64(qp_slice(text, digits), &number))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text + digits, units[i].name) != 0)
            continue;
        if (number > UINT64_MAX / units[i].factor)
            return false;
        *value = number * units[i].factor;
        return true;
    }
    return false;
}

static char *format_with_unit(uint64_t value, const struct unit *units, size_t count, char *out)
{
    size_t i = 0;
    while (i < count - 1 && (value == 0 || value % units[i].factor))
        i++;
    snprintf(out, QP_VALUE_BYTES, "%" PRIu64 "%s", value / units[i].factor, units[i].name);
    return out;
}

bool qp_duration_parse(const char *text, uint64_t *ms)
{
    return parse_with_unit(text, duration_units, DURATION_UNITS, ms);
}

bool qp_size_parse(const char *text, uint64_t *bytes)
{
    return parse_with_unit(text, size_units, SIZE_UNITS, bytes);
}

char *qp_duration_format(uint64_t ms, char *out)
{
    return format_with_unit(ms, duration_units, DURATION_UNITS, out);
}

char *qp_size_format(uint64_t bytes, char *out)
{
    return format_with_unit(bytes, size_units, SIZE_UNITS, out);
}

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Three rows of the usual table: the swap of two neighbours looks back two rows. */
size_t qp_text_distance(const char *a, const char *b, size_t limit)
{
    enum { LONGEST = 63 };
    size_t rows[3][LONGEST + 1];
    size_t a_len = strnlen(a, LONGEST + 1);
    size_t b_len = strnlen(b, LONGEST + 1);
    if (a_len > LONGEST || b_len > LONGEST || a_len >= b_len + limit || b_len >= a_len + limit)
        return limit;
    for (size_t k = 0; k <= b_len; k++)
        rows[0][k] = k;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t k = 1; k <= b_len; k++) {
            row[k] = least(above[k] + 1, row[k - 1] + 1, above[k - 1] + (a[i - 1] != b[k - 1]));
            bool swapped = i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1];
            if (swapped && two_above[k - 2] + 1 < row[k])
                row[k] = two_above[k - 2] + 1;
        }
    }
    size_t distance = rows[a_len % 3][b_len];
    return distance < limit ? distance : limit;
}

void qp_text_lower(char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text + ('a' - 'A'));
}

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_dns_label(struct qp_slice label)
{
    if (label.len == 0 || label.len > 63 || label.at[0] == '-' || label.at[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!is_letter_or_digit(label.at[i]) && label.at[i] != '-')
            return false;
    return true;
}

/* A name whose last label is a number would be taken for an IPv4 address by some resolvers: that must be one.
 */
static bool is_dns_name(const char *text)
{
    struct qp_slice rest = qp_slice_str(text);
    struct qp_slice label = QP_SLICE_NONE;
    uint64_t number = 0;
    if (rest.len == 0 || rest.len > 253)
        return false;
    while (rest.at) {
        label = qp_slice_cut(&rest, '.');
        if (!is_dns_label(label))
            return false;
    }
    return !qp_slice_to_u64(label, &number);
}

bool qp_is_host(const char *text)
{
    struct in6_addr address;
    return is_dns_name(text) || inet_pton(AF_INET, text, &address) == 1 ||
           inet_pton(AF_INET6, text, &address) == 1;
}

static bool consists_of(const char *text, bool (*allowed)(char))
{
    for (; *text; text++)
        if (!allowed(*text))
            return false;
    return true;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

const char *qp_refuse_name(const char *text)
{
    return *text && consists_of(text, is_name_char) ? NULL : "1 to 64 of a-z, 0-9, _ and -";
}

/* Anything but Qualtrics' own domain needs the explicit `origin`, so that a slip in the name does not send
 * the credentials to somebody else's host. */
const char *qp_refuse_datacenter(const char *text)
{
    static const char allowed[] =
        "a datacenter id such as iad1, or a host name under qualtrics.com; for other hosts use origin";
    if (!is_dns_name(text) && !is_dns_label(qp_slice_str(text)))
        return allowed;
    bool is_id = !strchr(text, '.');
    return is_id || qp_slice_ends_nocase(qp_slice_str(text), QP_SLICE(".qualtrics.com")) ? NULL : allowed;
}

const char *qp_refuse_host(const char *text)
{
    return qp_is_host(text) ? NULL : "a host name or an address, without a port";
}

static bool is_path_char(char c)
{
    return is_letter_or_digit(c) || (c && strchr("-._~!$&'()*+,;=:@/", c));
}

const char *qp_refuse_path_prefix(const char *text)
{
    static const char allowed[] =
        "a path such as /team-a: begins with a slash, does not end with one, nothing encoded, "
        "no empty or dot segments";
    size_t len = strlen(text);
    if (len < 2 || text[0] != '/' || text[len - 1] == '/' || !consists_of(text, is_path_char))
        return allowed;
    struct qp_slice rest = qp_slice(text + 1, len - 1);
    while (rest.at) {
        struct qp_slice segment = qp_slice_cut(&rest, '/');
        if (segment.len == 0 || qp_slice_is(segment, QP_SLICE(".")) || qp_slice_is(segment, QP_SLICE("..")))
            return allowed;
    }
    return NULL;
}

static bool is_printable(char c)
{
    return c >= 0x20 && c <= 0x7E;
}

const char *qp_refuse_unprintable(const char *text)
{
    return *text && consists_of(text, is_printable) ? NULL : "printable ASCII, not empty";
}

/* RFC 6749 section 3.3. */
static bool is_scope_char(char c)
{
    return is_printable(c) && c != '"' && c != '\\';
}

const char *qp_refuse_scope(const char *text)
{
    return *text && consists_of(text, is_scope_char)
               ? NULL
               : "scopes as RFC 6749 section 3.3 has them, such as manage:all";
}

/* A token of RFC 9110 section 5.6.2: the pseudonym in Via. */
static bool is_token_char(char c)
{
    return is_letter_or_digit(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

const char *qp_refuse_via(const char *text)
{
    return *text && consists_of(text, is_token_char) ? NULL : "letters, digits and !#$%&'*+-.^_`|~";
}
