/* Comments become blanks in a copy of the text, so that every position stays what it is in the file; then
 * cJSON parses that. The same pass refuses what cJSON lets through (raw control bytes, \u0000) or would
 * recurse on too deeply. */
#include "config/jsonc.h"
#include "base/alloc.h"
#include "base/secret.h"

#include <cJSON.h>

struct scan {
    char *text; /* NUL behind it */
    size_t len;
    size_t at;
    unsigned depth;
    size_t wrong_at;
    const char *wrong; /* NULL: fine so far */
};

static bool refuse(struct scan *scan, size_t at, const char *why)
{
    scan->wrong_at = at;
    scan->wrong = why;
    return false;
}

static bool skip_text(struct scan *scan)
{
    size_t start = scan->at++;
    for (; scan->at < scan->len; scan->at++) {
        char c = scan->text[scan->at];
        if (c == '"') {
            scan->at++;
            return true;
        }
        if (c == '\n' || c == '\r')
            return refuse(scan, start, "this quote is not closed in its line");
        if ((unsigned char)c < 0x20)
            return refuse(scan, scan->at, "a control byte within a text; write it as \\u00XX");
        if (c != '\\')
            continue;
        if (strncmp(scan->text + scan->at, "\\u0000", 6) == 0)
            return refuse(scan, scan->at, "\\u0000 cannot be part of a text");
        scan->at++;
    }
    return refuse(scan, start, "this quote is never closed");
}

static bool blank_comment(struct scan *scan)
{
    size_t start = scan->at;
    bool whole_line = scan->text[start + 1] == '/';
    const char *end = strstr(scan->text + start + 2, whole_line ? "\n" : "*/");
    if (!end && !whole_line)
        return refuse(scan, start, "this comment is never closed");
    size_t behind = !end ? scan->len : (size_t)(end - scan->text) + (whole_line ? 0 : 2);
    for (; scan->at < behind; scan->at++)
        if (scan->text[scan->at] != '\n')
            scan->text[scan->at] = ' ';
    return true;
}

static bool scan_one(struct scan *scan)
{
    char c = scan->text[scan->at];
    if (c == '"')
        return skip_text(scan);
    if (c == '/' && (scan->text[scan->at + 1] == '/' || scan->text[scan->at + 1] == '*'))
        return blank_comment(scan);
    if (c == '\'')
        return refuse(scan, scan->at, "texts stand in double quotes");
    if ((c == '{' || c == '[') && ++scan->depth > QP_JSONC_DEEPEST)
        return refuse(scan, scan->at, "nested too deeply: nothing here needs more than 16 levels");
    if ((c == '}' || c == ']') && scan->depth > 0)
        scan->depth--;
    scan->at++;
    return true;
}

static bool scan_all(struct scan *scan)
{
    size_t nul = strlen(scan->text);
    if (nul < scan->len)
        return refuse(scan, nul, "a NUL byte: this is not a text file");
    if (strncmp(scan->text, "\xEF\xBB\xBF", 3) == 0)
        memset(scan->text, ' ', 3);
    while (scan->at < scan->len)
        if (!scan_one(scan))
            return false;
    if (strspn(scan->text, " \t\r\n") == scan->len)
        return refuse(scan, scan->len, "there is nothing in it; it must hold one object: { ... }");
    return true;
}

static void place_of(const char *text, size_t at, char *place, size_t size)
{
    size_t line = 1;
    size_t column = 1;
    for (size_t i = 0; i < at; i++) {
        bool continues_character = ((unsigned char)text[i] & 0xC0) == 0x80;
        line += text[i] == '\n';
        column = text[i] == '\n' ? 1 : column + !continues_character;
    }
    snprintf(place, size, "%zu:%zu", line, column);
}

static char last_before(const char *text, size_t at)
{
    while (at > 0 && strchr(" \t\r\n", text[at - 1]))
        at--;
    return at > 0 ? text[at - 1] : '\0';
}

/* From what stands at the place where the parser gave up, and before it. A character of a text is never
 * shown: it could be part of a secret. */
static const char *guess_reason(const char *text, size_t len, size_t at, bool root_is_closed)
{
    char before = last_before(text, at);
    if (at >= len)
        return "the text ends here, but a brace, a bracket or a value is missing";
    if (root_is_closed)
        return "there is more text behind the end of the object";
    if ((text[at] == '}' || text[at] == ']') && before == ',')
        return "the comma before this is one too many";
    if (text[at] == '}' && before == ':')
        return "a value is missing before this";
    if (text[at] == '"' && before && !strchr("{[,:", before))
        return "a comma (or, behind a key, a colon) is missing before this";
    if (text[at] == '"')
        return "this text has an escape that JSON does not know";
    if (before == '{' || (before == ',' && text[at] != '{' && text[at] != '['))
        return "a key in double quotes, or a value, is expected here";
    return "this is not JSON: expected a text in double quotes, a number, true, false, null, { or [";
}

static bool allocation_failed;

static void *cjson_alloc(size_t bytes)
{
    void *memory = qp_try_alloc(bytes);
    if (!memory)
        allocation_failed = true;
    return memory;
}

/* Then the text up to here parses alone. */
static bool is_root_closed_before(struct scan *scan, size_t at)
{
    if (at >= scan->len || last_before(scan->text, at) != '}')
        return false;
    char kept = scan->text[at];
    scan->text[at] = '\0';
    cJSON *whole = cJSON_Parse(scan->text);
    scan->text[at] = kept;
    bool closed = whole != NULL;
    qp_jsonc_free(whole);
    return closed;
}

static cJSON *parse_blanked(struct scan *scan)
{
    /* Any text may be a secret, and cJSON itself frees what it had parsed of a text with an error. */
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = cjson_alloc, .free_fn = qp_wipe_and_free});
    allocation_failed = false;
    const char *end = NULL;
    cJSON *json = cJSON_ParseWithLengthOpts(scan->text, scan->len + 1, &end, true);
    if (json || allocation_failed) {
        scan->wrong = json ? NULL : "out of memory while reading this";
        return json;
    }
    size_t at = end ? (size_t)(end - scan->text) : 0;
    /* For a key that is no text cJSON names the place behind its first character. */
    char before_key =
        at > 1 && !strchr(" \t\r\n\"", scan->text[at - 1]) ? last_before(scan->text, at - 1) : '\0';
    if (before_key == ',' || before_key == '{')
        at--;
    while (at < scan->len && strchr(" \t\r\n", scan->text[at]))
        at++;
    refuse(scan, at, guess_reason(scan->text, scan->len, at, is_root_closed_before(scan, at)));
    return NULL;
}

struct cJSON *qp_jsonc_parse(struct qp_slice text, struct qp_problems *problems)
{
    if (text.len > QP_JSONC_MOST_BYTES) {
        qp_problems_add(problems, NULL, "it is larger than 1MiB; that cannot be a configuration");
        return NULL;
    }
    struct scan scan = {.text = qp_try_alloc(text.len + 1), .len = text.len};
    if (!scan.text) {
        qp_problems_add(problems, NULL, "out of memory while reading this");
        return NULL;
    }
    if (text.len)
        memcpy(scan.text, text.at, text.len);
    scan.text[text.len] = '\0';
    cJSON *json = scan_all(&scan) ? parse_blanked(&scan) : NULL;
    if (json && !cJSON_IsObject(json)) {
        refuse(&scan, strspn(scan.text, " \t\r\n"), "the configuration must be one object: { ... }");
        qp_jsonc_free(json);
        json = NULL;
    }
    if (!json) {
        char place[48];
        place_of(scan.text, scan.wrong_at, place, sizeof(place));
        qp_problems_add(problems, allocation_failed ? NULL : place, "%s", scan.wrong);
    }
    qp_wipe(scan.text, scan.len);
    qp_free(scan.text);
    return json;
}

void qp_jsonc_free(struct cJSON *json)
{
    cJSON_Delete(json);
}
