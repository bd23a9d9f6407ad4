/* What can only be judged with more than one setting outside of the accounts in view, and what follows from
 * several. */
#include "base/alloc.h"
#include "config/load.h"
#include "config/values.h"

#include <stdlib.h>

static void set_replay_dir(struct qp_config *config)
{
    const char *dir = getenv("TMPDIR");
    if (!config->replay.dir)
        config->replay.dir =
            dir && *dir ? qp_strndup(dir, strlen(dir)) : qp_strndup("/var/tmp", strlen("/var/tmp"));
}

static void check_limits(const struct qp_config *config, struct qp_problems *problems)
{
    if (config->limits.target_bytes > config->limits.head_bytes)
        qp_problems_add(problems, "limits.target",
                        "larger than limits.head, which holds the target; raise limits.head");
    if (config->replay.memory_bytes > config->replay.memory_total_bytes)
        qp_problems_add(problems, "replay.memory",
                        "larger than replay.memory_total; raise that or lower this");
}

/* A setting that is there but wrong has been told of already. */
static void check_vault(const struct qp_seen *top, struct qp_problems *problems)
{
    bool path = qp_seen_has(top, "vault.path");
    bool key = qp_seen_has(top, "vault.key");
    bool old_key = qp_seen_has(top, "vault.old_key");
    if (!path && (key || old_key))
        qp_problems_add(problems, "vault.path",
                        "missing, so the key has nothing to open; write \"path\": \"/var/lib/qproxy/vault\" "
                        "beside it, or remove it");
    if (!key && (path || old_key))
        qp_problems_add(problems, "vault.key",
                        "missing, and a vault is sealed with one; run `qproxy key new FILE`, then write "
                        "\"key\": \"file:FILE\" beside \"%s\"",
                        path ? "path" : "old_key");
}

void qp_top_finish(struct qp_config *config, const struct qp_seen *top, struct qp_problems *problems)
{
    config->admin.is_by_default = !qp_seen_has(top, "admin.listen");
    for (size_t i = 0; i < config->admin.host.count; i++)
        qp_text_lower(config->admin.host.at[i]);
    set_replay_dir(config);
    check_limits(config, problems);
    check_vault(top, problems);
}
