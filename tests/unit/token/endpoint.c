#include "endpoint.h"
#include <arpa/inet.h>
#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CALLS_MAX = 256, REQUEST_BYTES = 8192, ANSWERS_MAX = 16, ANSWER_BYTES = 1024 };

struct endpoint {
    const struct endpoint_step *steps;
    unsigned step_count;
    int fd;
    int stop[2];
    unsigned port;
    pthread_t thread;
    pthread_mutex_t lock;
    unsigned calls;
    char *requests[CALLS_MAX];
    int hanging[CALLS_MAX];
    unsigned hanging_count;
};

static char answers[ANSWERS_MAX][ANSWER_BYTES];
static unsigned answer_count;

const char *endpoint_answer(const char *status_and_fields, const char *body)
{
    char *out = answers[answer_count++ % ANSWERS_MAX];
    snprintf(out, ANSWER_BYTES, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status_and_fields,
             strlen(body), body);
    return out;
}

static bool is_complete(const char *request)
{
    const char *end = strstr(request, "\r\n\r\n");
    const char *length = strstr(request, "Content-Length: ");
    return end && length && strlen(end + 4) >= strtoul(length + 16, NULL, 10);
}

static char *read_request(int fd)
{
    char *request = calloc(1, REQUEST_BYTES);
    size_t len = 0;
    ssize_t got = 0;
    while (!is_complete(request) && (got = read(fd, request + len, REQUEST_BYTES - 1 - len)) > 0)
        len += (size_t)got;
    return request;
}

static void write_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t put = send(fd, bytes, len, MSG_NOSIGNAL);
        if (put <= 0)
            return;
        bytes += put;
        len -= (size_t)put;
    }
}

static void answer(struct endpoint *endpoint, int fd, const struct endpoint_step *step)
{
    struct pollfd stop = {.fd = endpoint->stop[0], .events = POLLIN};
    if (step->delay_ms)
        poll(&stop, 1, (int)step->delay_ms);
    if (!step->answer) {
        assert(endpoint->hanging_count < CALLS_MAX);
        endpoint->hanging[endpoint->hanging_count++] = fd;
        return;
    }
    write_all(fd, step->answer, strlen(step->answer));
    char *padding = malloc(step->padding + 1);
    memset(padding, 'x', step->padding);
    write_all(fd, padding, step->padding);
    free(padding);
    close(fd);
}

static void serve(struct endpoint *endpoint)
{
    int fd = accept(endpoint->fd, NULL, NULL);
    char *request = read_request(fd);
    if (!*request) { /* a dial that nobody wanted any more */
        free(request);
        close(fd);
        return;
    }
    pthread_mutex_lock(&endpoint->lock);
    unsigned call = endpoint->calls++;
    free(endpoint->requests[call % CALLS_MAX]);
    endpoint->requests[call % CALLS_MAX] = request;
    pthread_mutex_unlock(&endpoint->lock);
    answer(endpoint, fd, &endpoint->steps[call < endpoint->step_count ? call : endpoint->step_count - 1]);
}

static void *run(void *context)
{
    struct endpoint *endpoint = context;
    struct pollfd fds[2] = {{.fd = endpoint->fd, .events = POLLIN},
                            {.fd = endpoint->stop[0], .events = POLLIN}};
    while (poll(fds, 2, -1) > 0 && !fds[1].revents)
        serve(endpoint);
    return NULL;
}

struct endpoint *endpoint_start(const struct endpoint_step *steps, unsigned count)
{
    struct endpoint *endpoint = calloc(1, sizeof(*endpoint));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    endpoint->steps = steps;
    endpoint->step_count = count;
    endpoint->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int failed = bind(endpoint->fd, (struct sockaddr *)&address, len) || listen(endpoint->fd, 16) ||
                 getsockname(endpoint->fd, (struct sockaddr *)&address, &len) || pipe(endpoint->stop) ||
                 pthread_mutex_init(&endpoint->lock, NULL);
    assert(!failed);
    endpoint->port = ntohs(address.sin_port);
    failed = pthread_create(&endpoint->thread, NULL, run, endpoint);
    assert(!failed);
    return endpoint;
}

void endpoint_stop(struct endpoint *endpoint)
{
    close(endpoint->stop[1]);
    pthread_join(endpoint->thread, NULL);
    close(endpoint->stop[0]);
    close(endpoint->fd);
    for (unsigned i = 0; i < endpoint->hanging_count; ++i)
        close(endpoint->hanging[i]);
    for (unsigned i = 0; i < CALLS_MAX; ++i)
        free(endpoint->requests[i]);
    pthread_mutex_destroy(&endpoint->lock);
    free(endpoint);
    answer_count = 0;
}

unsigned endpoint_port(const struct endpoint *endpoint)
{
    return endpoint->port;
}

unsigned endpoint_calls(struct endpoint *endpoint)
{
    pthread_mutex_lock(&endpoint->lock);
    unsigned calls = endpoint->calls;
    pthread_mutex_unlock(&endpoint->lock);
    return calls;
}

const char *endpoint_request(struct endpoint *endpoint, unsigned call)
{
    pthread_mutex_lock(&endpoint->lock);
    const char *request = call < endpoint->calls ? endpoint->requests[call % CALLS_MAX] : "";
    pthread_mutex_unlock(&endpoint->lock);
    return request;
}
