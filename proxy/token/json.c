#include "token/json.h"
#include "base/alloc.h"
#include "base/secret.h"
#include <cJSON.h>

static bool is_json_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* A text that is cut may well hold a whole token, and cJSON itself frees what it had parsed of it. Set for each call:
 * config has hooks of its own. */
static void set_json_hooks(void)
{
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = qp_try_alloc, .free_fn = qp_wipe_and_free});
}

struct cJSON *qp_json_object(struct qp_slice text)
{
    set_json_hooks();
    if (!text.len)
        return NULL;
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(text.at, text.len, &end, 0);
    if (!root)
        return NULL;
    while (end < text.at + text.len && is_json_space(*end))
        ++end;
    if (end == text.at + text.len && cJSON_IsObject(root))
        return root;
    cJSON_Delete(root);
    return NULL;
}
