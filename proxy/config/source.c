/* Where a configuration comes from: the file that was named, one of two places, or the environment. */
#include "base/alloc.h"
#include "base/buf.h"
#include "config/jsonc.h"
#include "config/load.h"
#include "config/reference.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 16384 };

static const char *const places[] = {"qproxy.json", "/etc/qproxy/qproxy.json"};

static const char *why_no_literals(const struct stat *status)
{
    if (status->st_mode & (S_IRWXG | S_IRWXO))
        return "a literal secret needs a configuration file that only its owner can read (chmod 600)";
    if (status->st_uid != geteuid() && status->st_uid != 0)
        return "a literal secret needs a configuration file that belongs to the user who runs qproxy, or to "
               "root";
    return NULL;
}

/* One byte more than allowed, so that the parser sees that it is too much. */
static bool read_whole(int fd, struct qp_buf *content)
{
    while (qp_buf_len(content) <= QP_JSONC_MOST_BYTES) {
        ssize_t got = read(fd, qp_buf_reserve(content, READ_BYTES), READ_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0;
        qp_buf_commit(content, (size_t)got);
    }
    return true;
}

static enum qp_config_outcome load_open_file(int fd, const char *path, qp_config_check *also,
                                             struct qp_config **config, struct qp_problems *problems)
{
    struct stat status;
    struct qp_buf content = {0};
    if (fstat(fd, &status) != 0 || !read_whole(fd, &content)) {
        qp_problems_add(problems, NULL, "cannot be read: %s", strerror(errno));
        qp_buf_wipe(&content);
        return QP_CONFIG_NO_INPUT;
    }
    struct qp_config *loaded =
        qp_config_parse(qp_buf_slice(&content), path, why_no_literals(&status), also, problems);
    qp_buf_wipe(&content);
    if (!loaded)
        return QP_CONFIG_INVALID;
    *config = loaded;
    return QP_CONFIG_LOADED;
}

static enum qp_config_outcome load_file(const char *path, qp_config_check *also, struct qp_config **config,
                                        struct qp_problems *problems)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        qp_problems_add(problems, NULL, "cannot be opened: %s", strerror(errno));
        return QP_CONFIG_NO_INPUT;
    }
    enum qp_config_outcome outcome = load_open_file(fd, path, also, config, problems);
    close(fd);
    return outcome;
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static void put_member(struct qp_buf *json, const char *key, const char *value)
{
    qp_buf_append_fmt(json, ",\"%s\":\"", key);
    qp_buf_append_json(json, qp_slice_str(value));
    qp_buf_append_str(json, "\"");
}

/* QUALTRICS_BASE_URL is other programs' variable, too: some have it without https://, some with /API/v3
 * behind it. */
static void put_base_url(struct qp_buf *json, const char *base_url)
{
    static const struct qp_slice tails[] = {{"/", 1}, {"/API/v3", 7}, {"/", 1}};
    struct qp_buf origin = {0};
    if (!strstr(base_url, "://"))
        qp_buf_append_str(&origin, "https://");
    qp_buf_append_str(&origin, base_url);
    for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++)
        if (qp_slice_ends_nocase(qp_buf_slice(&origin), tails[i]))
            origin.end -= tails[i].len;
    qp_buf_append_char(&origin, '\0');
    put_member(json, "origin", qp_buf_slice(&origin).at);
    qp_buf_deinit(&origin);
}

/* What is wrong is shown at the variable, not at a key that the user never wrote. */
static void name_variables(struct qp_problems *problems, size_t from)
{
    static const char *const names[][2] = {
        {"accounts[0].datacenter", "QUALTRICS_DATACENTER"},
        {"accounts[0].origin", "QUALTRICS_BASE_URL"},
        {"accounts[0].client_id", "QUALTRICS_CLIENT_ID"},
        {"accounts[0].client_secret", "QUALTRICS_CLIENT_SECRET"},
        {"accounts[0].api_token", "QUALTRICS_API_KEY"},
        {"accounts[0].scope", "QUALTRICS_SCOPE"},
    };
    for (size_t i = from; i < problems->count; i++) {
        struct qp_problem *problem = &problems->at[i];
        for (size_t k = 0; problem->place && k < sizeof(names) / sizeof(names[0]); k++) {
            if (strcmp(problem->place, names[k][0]) != 0)
                continue;
            qp_free(problem->place);
            problem->place = qp_strndup(names[k][1], strlen(names[k][1]));
        }
    }
}

/* The environment as the file that it stands for, so that there is one way to read and judge a configuration.
 */
static void write_environment(struct qp_buf *json, bool api_key)
{
    const char *scope = variable("QUALTRICS_SCOPE");
    qp_buf_append_fmt(json, "{\"accounts\":[{\"grant\":\"%s\"", api_key ? "api_token" : "client_credentials");
    if (variable("QUALTRICS_DATACENTER"))
        put_member(json, "datacenter", variable("QUALTRICS_DATACENTER"));
    else
        put_base_url(json, variable("QUALTRICS_BASE_URL"));
    if (api_key)
        put_member(json, "api_token", "env:QUALTRICS_API_KEY");
    else
        qp_buf_append_str(json, ",\"client_id\":\"env:QUALTRICS_CLIENT_ID\","
                                "\"client_secret\":\"env:QUALTRICS_CLIENT_SECRET\"");
    if (scope && !api_key)
        put_member(json, "scope", scope);
    qp_buf_append_str(json, "}]}");
}

static enum qp_config_outcome load_environment(qp_config_check *also, struct qp_config **config,
                                               struct qp_problems *problems)
{
    const char *datacenter = variable("QUALTRICS_DATACENTER");
    const char *base_url = variable("QUALTRICS_BASE_URL");
    bool api_key = qp_reference_environment_has("QUALTRICS_API_KEY");
    bool client = variable("QUALTRICS_CLIENT_ID") || qp_reference_environment_has("QUALTRICS_CLIENT_SECRET");
    size_t problems_before = problems->count;
    if (api_key && client)
        qp_problems_add(problems, "QUALTRICS_API_KEY",
                        "set beside QUALTRICS_CLIENT_ID or QUALTRICS_CLIENT_SECRET; unset "
                        "one or the other");
    if (!api_key && !client)
        qp_problems_add(problems, "QUALTRICS_CLIENT_ID",
                        "not set; set it and QUALTRICS_CLIENT_SECRET, or QUALTRICS_API_KEY");
    if (datacenter && base_url)
        qp_problems_add(problems, "QUALTRICS_DATACENTER", "set beside QUALTRICS_BASE_URL; unset one of them");
    if (!datacenter && !base_url)
        qp_problems_add(problems, "QUALTRICS_DATACENTER",
                        "not set; set it (such as iad1), or QUALTRICS_BASE_URL");
    if (problems->count > problems_before)
        return QP_CONFIG_INVALID;

    struct qp_buf json = {0};
    write_environment(&json, api_key);
    struct qp_config *loaded = qp_config_parse(qp_buf_slice(&json), "the environment", NULL, also, problems);
    qp_buf_deinit(&json);
    name_variables(problems, problems_before);
    if (!loaded)
        return QP_CONFIG_INVALID;
    *config = loaded;
    return QP_CONFIG_LOADED;
}

static bool environment_has_any(void)
{
    return variable("QUALTRICS_DATACENTER") || variable("QUALTRICS_BASE_URL") ||
           variable("QUALTRICS_CLIENT_ID") || qp_reference_environment_has("QUALTRICS_CLIENT_SECRET") ||
           qp_reference_environment_has("QUALTRICS_API_KEY");
}

const char *qp_config_find(const char *file)
{
    if (file)
        return file;
    /* A file that is there but cannot be read must not silently give way to another. */
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (access(places[i], F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR))
            return places[i];
    return NULL;
}

enum qp_config_outcome qp_config_load(const char *file, qp_config_check *also, struct qp_config **config,
                                      struct qp_problems *problems)
{
    const char *path = qp_config_find(file);
    if (path)
        return load_file(path, also, config, problems);
    if (environment_has_any())
        return load_environment(also, config, problems);
    qp_problems_add(
        problems, NULL,
        "there is no configuration: neither ./qproxy.json nor /etc/qproxy/qproxy.json exists, and no "
        "QUALTRICS_ variable is set. Write one (`qproxy check --sample > qproxy.json` shows how), name one "
        "with -c FILE, or set QUALTRICS_DATACENTER, QUALTRICS_CLIENT_ID and QUALTRICS_CLIENT_SECRET");
    return QP_CONFIG_INVALID;
}
