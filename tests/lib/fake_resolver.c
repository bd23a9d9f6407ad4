/* fake_resolver.c - for LD_PRELOAD: a getaddrinfo() that answers from the file $QP_FAKE_HOSTS, which a test may replace at any time; for a
 * host that has a file $QP_FAKE_HOSTS.HOST, from that.
 *
 * A line each: an address; "delay MS" before the answer; "fail NAME" with again, noname, or fail, instead of an answer. Each question
 * appends a line to $QP_FAKE_HOSTS.asked. Addresses themselves (AI_NUMERICHOST) go to the C library.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int resolve(const char *node, const char *service, const struct addrinfo *hints,
                    struct addrinfo **list);

static const struct {
    const char *name;
    int code;
} failures[] = {{"again", EAI_AGAIN}, {"noname", EAI_NONAME}, {"fail", EAI_FAIL}};

static int failure_named(const char *name)
{
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        if (strcmp(failures[i].name, name) == 0)
            return failures[i].code;
    }
    abort();
}

static void note_question(const char *file, const char *node)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s.asked", file);
    FILE *asked = fopen(path, "a");
    if (!asked)
        return;
    fprintf(asked, "%s\n", node);
    fclose(asked);
}

/* Appends what the C library makes of an address. */
static void append(resolve *real, const char *text, const struct addrinfo *hints, struct addrinfo **list)
{
    struct addrinfo numeric = {.ai_flags = AI_NUMERICHOST, .ai_socktype = hints ? hints->ai_socktype : 0};

    while (*list)
        list = &(*list)->ai_next;
    if (real(text, NULL, &numeric, list) != 0)
        *list = NULL;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
    resolve *real = (resolve *)dlsym(RTLD_NEXT, "getaddrinfo");
    const char *file = getenv("QP_FAKE_HOSTS");
    int result = 0;
    char line[4096];

    if (!file || (hints && hints->ai_flags & AI_NUMERICHOST))
        return real(node, service, hints, list);
    note_question(file, node);
    snprintf(line, sizeof(line), "%s.%s", file, node);
    FILE *hosts = fopen(line, "r");
    if (!hosts)
        hosts = fopen(file, "r");
    if (!hosts)
        return EAI_SYSTEM;
    *list = NULL;
    while (fgets(line, sizeof(line), hosts)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "delay ", 6) == 0)
            usleep((useconds_t)strtoul(line + 6, NULL, 10) * 1000);
        else if (strncmp(line, "fail ", 5) == 0)
            result = failure_named(line + 5);
        else if (*line)
            append(real, line, hints, list);
    }
    fclose(hosts);
    return result;
}
