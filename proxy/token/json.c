#include "token/json.h"
#include "base/alloc.h"
#include "base/secret.h"

/* A cut answer may well hold a whole token, and cJSON itself frees what it had parsed of it. Set for each call:
 * config has hooks of its own. */
static void set_hooks(void)
{
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = qp_try_alloc, .free_fn = qp_wipe_and_free});
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* cJSON gives C strings, so a token with a NUL inside would come out as a shorter, other token. */
static bool hides_a_nul(struct qp_slice body)
{
    return memchr(body.at, 0, body.len) || qp_slice_find(body, QP_SLICE("\\u0000"));
}

cJSON *qp_json_parse_object(struct qp_slice body)
{
    set_hooks();
    if (!body.len)
        return NULL;
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(body.at, body.len, &end, 0);
    if (!root)
        return NULL;
    while (end < body.at + body.len && is_space(*end))
        ++end;
    if (end == body.at + body.len && cJSON_IsObject(root))
        return root;
    cJSON_Delete(root);
    return NULL;
}

cJSON *qp_json_parse_answer(struct qp_slice body)
{
    return body.len && !hides_a_nul(body) ? qp_json_parse_object(body) : NULL;
}

const char *qp_json_string_of(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text && *text ? text : NULL;
}

void qp_json_text_of(const cJSON *object, const char *name, char *out, size_t size)
{
    const char *text = qp_json_string_of(object, name);
    size_t i = 0;
    for (; text && text[i] && i + 1 < size; ++i)
        out[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
    out[i] = 0;
}
