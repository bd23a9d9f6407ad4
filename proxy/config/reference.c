#include "config/reference.h"
#include "base/alloc.h"
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_BYTES = 64 * 1024 };

/* The environment variables that secrets were read from. The value is there once the variable was forgotten:
 * a reload must find it again. */
struct variable {
    struct variable *next;
    char *name;
    struct qp_secret *forgotten;
};

static struct variable *variables;

static struct variable *find_variable(const char *name)
{
    for (struct variable *variable = variables; variable; variable = variable->next)
        if (strcmp(variable->name, name) == 0)
            return variable;
    return NULL;
}

static void remember_variable(const char *name)
{
    if (find_variable(name))
        return;
    struct variable *variable = qp_alloc(sizeof(*variable));
    variable->name = qp_strndup(name, strlen(name));
    variable->next = variables;
    variables = variable;
}

void qp_config_forget_environment(void)
{
    for (struct variable *variable = variables; variable; variable = variable->next) {
        char *value = getenv(variable->name);
        if (!value)
            continue;
        qp_secret_free(&variable->forgotten);
        variable->forgotten = qp_secret_new(qp_slice_str(value));
        qp_wipe(value, strlen(value));
        unsetenv(variable->name);
    }
}

bool qp_reference_environment_has(const char *name)
{
    const struct variable *variable = find_variable(name);
    const char *value = getenv(name);
    return (value && *value) || (variable && variable->forgotten);
}

static const char *const kinds[] = {"env:", "file:", "cred:"};

bool qp_reference_is(const char *text)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strncmp(text, kinds[i], strlen(kinds[i])) == 0)
            return true;
    return false;
}

struct qp_secret *qp_reference_check(struct qp_slice bytes, const char *what, char *why)
{
    if (bytes.len == 0) {
        snprintf(why, QP_REFERENCE_WHY_BYTES, "%s is empty", what);
        return NULL;
    }
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.at[i] >= 0x20 && bytes.at[i] <= 0x7E)
            continue;
        snprintf(
            why, QP_REFERENCE_WHY_BYTES,
            "%s has a control or non-ASCII byte at position %zu; credentials are one line of printable ASCII",
            what, i + 1);
        return NULL;
    }
    return qp_secret_new(bytes);
}

static struct qp_secret *read_environment(const char *name, char *why)
{
    char what[QP_REFERENCE_WHY_BYTES / 2];
    snprintf(what, sizeof(what), "the environment variable %.200s", name);
    const char *value = getenv(name);
    const struct variable *known = find_variable(name);
    if (!value && known && known->forgotten)
        return qp_secret_dup(known->forgotten);
    if (!value) {
        snprintf(why, QP_REFERENCE_WHY_BYTES, "%s is not set; set it, or use file:PATH or cred:NAME", what);
        return NULL;
    }
    remember_variable(name);
    return qp_reference_check(qp_slice_str(value), what, why);
}

static struct qp_slice without_newline(struct qp_slice text)
{
    if (text.len && text.at[text.len - 1] == '\n')
        text.len--;
    if (text.len && text.at[text.len - 1] == '\r')
        text.len--;
    return text;
}

/* One byte more than allowed, so that too much is seen. */
static ssize_t read_up_to(int fd, char *bytes, size_t size)
{
    size_t len = 0;
    while (len < size) {
        ssize_t got = read(fd, bytes + len, size - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    return (ssize_t)len;
}

static struct qp_secret *read_open_file(int fd, const char *what, char *why)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        snprintf(why, QP_REFERENCE_WHY_BYTES, "%s is not a regular file", what);
        return NULL;
    }
    char *bytes = qp_alloc(MOST_BYTES + 1);
    ssize_t len = read_up_to(fd, bytes, MOST_BYTES + 1);
    struct qp_secret *secret = NULL;
    if (len < 0)
        snprintf(why, QP_REFERENCE_WHY_BYTES, "%s cannot be read: %s", what, strerror(errno));
    else if (len > MOST_BYTES)
        snprintf(why, QP_REFERENCE_WHY_BYTES, "%s is longer than 64KiB", what);
    else
        secret = qp_reference_check(without_newline(qp_slice(bytes, (size_t)len)), what, why);
    qp_wipe(bytes, MOST_BYTES + 1);
    qp_free(bytes);
    return secret;
}

static struct qp_secret *read_file(const char *path, char *why)
{
    char what[QP_REFERENCE_WHY_BYTES / 2];
    snprintf(what, sizeof(what), "the file %.200s", path);
    /* Without O_NONBLOCK a FIFO that nobody writes to would hold us here for ever. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        snprintf(why, QP_REFERENCE_WHY_BYTES, "%s cannot be opened: %s", what, strerror(errno));
        return NULL;
    }
    struct qp_secret *secret = read_open_file(fd, what, why);
    close(fd);
    return secret;
}

static struct qp_secret *read_credential(const char *name, char *why)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (!folder || !*folder) {
        snprintf(why, QP_REFERENCE_WHY_BYTES,
                 "cred:%.200s needs $CREDENTIALS_DIRECTORY, which systemd sets; give the unit "
                 "LoadCredential=%.100s:PATH",
                 name, name);
        return NULL;
    }
    if (strchr(name, '/') || strcmp(name, "..") == 0 || strcmp(name, ".") == 0) {
        snprintf(why, QP_REFERENCE_WHY_BYTES,
                 "cred:%.200s is not the name of a credential; for a path use file:", name);
        return NULL;
    }
    char path[4096];
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, name) >= sizeof(path)) {
        snprintf(why, QP_REFERENCE_WHY_BYTES, "the path of cred:%.200s is too long", name);
        return NULL;
    }
    return read_file(path, why);
}

struct qp_secret *qp_reference_read(const char *reference, char *why)
{
    const char *name = strchr(reference, ':') + 1;
    if (!*name) {
        snprintf(why, QP_REFERENCE_WHY_BYTES, "nothing stands behind '%s'", reference);
        return NULL;
    }
    if (strncmp(reference, "env:", 4) == 0)
        return read_environment(name, why);
    return strncmp(reference, "cred:", 5) == 0 ? read_credential(name, why) : read_file(name, why);
}
