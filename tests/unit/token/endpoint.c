#include "endpoint.h"
#include <arpa/inet.h>
#include <assert.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CALLS_MAX = 256, REQUEST_BYTES = 8192, ANSWERS_MAX = 32, ANSWER_BYTES = 1024 };

static const char *const paths[LANES] = {
    [LANE_TOKEN] = "/oauth2/token", [LANE_WHOAMI] = "/API/v3/whoami", [LANE_REVOKE] = "/oauth2/revoke"};

/* A connection that waits for its answer, or for nothing. */
struct parked {
    int fd;
    const struct endpoint_step *step;
};

struct endpoint {
    struct endpoint_step *steps;
    unsigned step_count;
    int fd;
    int stop[2];
    unsigned port;
    pthread_t thread;
    pthread_mutex_t lock;
    void (*seen)(void *context, enum endpoint_lane lane, unsigned call, const char *request);
    void *context;
    unsigned calls[LANES];
    char *requests[LANES][CALLS_MAX];
    struct parked parked[CALLS_MAX];
    unsigned parked_count;
};

static char answers[ANSWERS_MAX][ANSWER_BYTES];
static unsigned answer_count;

const char *endpoint_answer(const char *status_and_fields, const char *body)
{
    assert(answer_count < ANSWERS_MAX);
    char *out = answers[answer_count++];
    snprintf(out, ANSWER_BYTES, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status_and_fields,
             strlen(body), body);
    return out;
}

static bool is_complete(const char *request)
{
    const char *end = strstr(request, "\r\n\r\n");
    const char *length = strstr(request, "Content-Length: ");
    return end && (!length || strlen(end + 4) >= strtoul(length + 16, NULL, 10));
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

/* Each byte a segment, and so a read, of its own. */
static void write_slowly(int fd, const char *bytes, size_t len)
{
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    for (size_t i = 0; i < len; ++i) {
        write_all(fd, bytes + i, 1);
        usleep(100);
    }
}

static void give(int fd, const struct endpoint_step *step)
{
    (step->is_slow ? write_slowly : write_all)(fd, step->answer, strlen(step->answer));
    if (step->is_reset)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    char *padding = malloc(step->padding + 1);
    memset(padding, 'x', step->padding);
    write_all(fd, padding, step->padding);
    free(padding);
    close(fd);
}

static void answer(struct endpoint *endpoint, int fd, const struct endpoint_step *step)
{
    struct pollfd stop = {.fd = endpoint->stop[0], .events = POLLIN};
    if (step->delay_ms)
        poll(&stop, 1, (int)step->delay_ms);
    if (step->answer && !step->is_held) {
        give(fd, step);
        return;
    }
    pthread_mutex_lock(&endpoint->lock);
    assert(endpoint->parked_count < CALLS_MAX);
    endpoint->parked[endpoint->parked_count++] = (struct parked){.fd = fd, .step = step};
    pthread_mutex_unlock(&endpoint->lock);
}

void endpoint_release(struct endpoint *endpoint)
{
    unsigned kept = 0;
    pthread_mutex_lock(&endpoint->lock);
    for (unsigned i = 0; i < endpoint->parked_count; ++i) {
        if (endpoint->parked[i].step->answer)
            give(endpoint->parked[i].fd, endpoint->parked[i].step);
        else
            endpoint->parked[kept++] = endpoint->parked[i];
    }
    endpoint->parked_count = kept;
    pthread_mutex_unlock(&endpoint->lock);
}

static enum endpoint_lane lane_of(const char *request)
{
    const char *path = strchr(request, ' ');
    for (unsigned lane = 0; path && lane < LANES; ++lane) {
        if (strncmp(path + 1, paths[lane], strlen(paths[lane])) == 0)
            return lane;
    }
    return LANES;
}

static const struct endpoint_step *step_of(const struct endpoint *endpoint, enum endpoint_lane lane,
                                           unsigned call)
{
    static const struct endpoint_step none = {.answer =
                                                  "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"};
    const struct endpoint_step *found = &none;
    for (unsigned i = 0; i < endpoint->step_count; ++i) {
        if (endpoint->steps[i].lane != lane)
            continue;
        found = &endpoint->steps[i];
        if (call-- == 0)
            break;
    }
    return found;
}

/* Its number, by lane. */
static unsigned note(struct endpoint *endpoint, enum endpoint_lane lane, char *request)
{
    pthread_mutex_lock(&endpoint->lock);
    unsigned call = endpoint->calls[lane];
    void (*seen)(void *, enum endpoint_lane, unsigned, const char *) = endpoint->seen;
    pthread_mutex_unlock(&endpoint->lock);
    if (seen)
        seen(endpoint->context, lane, call, request);
    pthread_mutex_lock(&endpoint->lock);
    free(endpoint->requests[lane][call % CALLS_MAX]);
    endpoint->requests[lane][call % CALLS_MAX] = request;
    ++endpoint->calls[lane];
    pthread_mutex_unlock(&endpoint->lock);
    return call;
}

static void serve(struct endpoint *endpoint)
{
    int fd = accept(endpoint->fd, NULL, NULL);
    char *request = read_request(fd);
    if (!is_complete(request)) { /* a dial that nobody wanted any more */
        free(request);
        close(fd);
        return;
    }
    enum endpoint_lane lane = lane_of(request);
    assert(lane != LANES);
    unsigned call = note(endpoint, lane, request);
    answer(endpoint, fd, step_of(endpoint, lane, call));
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
    endpoint->steps = calloc(count, sizeof(*steps));
    memcpy(endpoint->steps, steps, count * sizeof(*steps));
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
    for (unsigned i = 0; i < endpoint->parked_count; ++i)
        close(endpoint->parked[i].fd);
    for (unsigned i = 0; i < LANES * CALLS_MAX; ++i)
        free(endpoint->requests[i / CALLS_MAX][i % CALLS_MAX]);
    pthread_mutex_destroy(&endpoint->lock);
    free(endpoint->steps);
    free(endpoint);
    answer_count = 0;
}

unsigned endpoint_port(const struct endpoint *endpoint)
{
    return endpoint->port;
}

const char *endpoint_path(enum endpoint_lane lane)
{
    return paths[lane];
}

void endpoint_watch(struct endpoint *endpoint,
                    void (*seen)(void *context, enum endpoint_lane lane, unsigned call, const char *request),
                    void *context)
{
    pthread_mutex_lock(&endpoint->lock);
    endpoint->seen = seen;
    endpoint->context = context;
    pthread_mutex_unlock(&endpoint->lock);
}

unsigned endpoint_calls_at(struct endpoint *endpoint, enum endpoint_lane lane)
{
    pthread_mutex_lock(&endpoint->lock);
    unsigned calls = endpoint->calls[lane];
    pthread_mutex_unlock(&endpoint->lock);
    return calls;
}

const char *endpoint_request_at(struct endpoint *endpoint, enum endpoint_lane lane, unsigned call)
{
    pthread_mutex_lock(&endpoint->lock);
    const char *request = call < endpoint->calls[lane] ? endpoint->requests[lane][call % CALLS_MAX] : "";
    pthread_mutex_unlock(&endpoint->lock);
    return request;
}

unsigned endpoint_calls(struct endpoint *endpoint)
{
    return endpoint_calls_at(endpoint, LANE_TOKEN);
}

const char *endpoint_request(struct endpoint *endpoint, unsigned call)
{
    return endpoint_request_at(endpoint, LANE_TOKEN, call);
}

unsigned endpoint_count(struct endpoint *endpoint, const char *text)
{
    unsigned count = 0;
    for (unsigned call = 0; call < endpoint_calls(endpoint); ++call)
        count += strstr(endpoint_request(endpoint, call), text) != NULL;
    return count;
}
