#include "scripted.h"
#include "cmocka_all.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *end_of_head(const char *request)
{
    const char *end = strstr(request, "\r\n\r\n");
    return end ? end + 4 : NULL;
}

static bool is_whole(const char *request)
{
    static const char name[] = "Content-Length: ";
    const char *body = end_of_head(request);
    const char *length = strstr(request, name);
    if (!body)
        return false;
    return !length || strlen(body) >= strtoul(length + strlen(name), NULL, 10);
}

static void read_request(struct scripted *scripted, int fd)
{
    char *request = scripted->requests[scripted->request_count];
    size_t len = 0;
    while (!is_whole(request) && len + 1 < SCRIPTED_REQUEST_BYTES) {
        ssize_t got = read(fd, request + len, SCRIPTED_REQUEST_BYTES - 1 - len);
        if (got <= 0)
            break;
        len += (size_t)got;
        request[len] = '\0';
    }
}

static void write_answer(const struct scripted_line *line, int fd)
{
    size_t left = line->bytes ? line->bytes : strlen(line->answer);
    const char *at = line->answer;
    while (left) {
        size_t piece = line->piece && line->piece < left ? line->piece : left;
        ssize_t put = send(fd, at, piece, MSG_NOSIGNAL);
        if (put <= 0)
            return;
        at += put;
        left -= (size_t)put;
        if (line->piece)
            usleep(200);
    }
}

static void serve(struct scripted *scripted, const struct scripted_line *line, int fd)
{
    char rest[256];
    if (!line->is_rude)
        read_request(scripted, fd);
    if (line->answer)
        write_answer(line, fd);
    while (line->is_silent && read(fd, rest, sizeof rest) > 0)
        continue;
    close(fd);
    scripted->request_count++;
}

static void *run(void *context)
{
    struct scripted *scripted = context;
    for (unsigned i = 0; i < scripted->line_count; i++) {
        int fd = accept(scripted->listening, NULL, NULL);
        if (fd < 0)
            break;
        serve(scripted, &scripted->lines[i], fd);
    }
    return NULL;
}

struct scripted *scripted_begin(bool is_local, const struct scripted_line *lines, unsigned line_count)
{
    static unsigned number;
    const char *why = NULL;
    char text[128] = "127.0.0.1:0";
    struct scripted *scripted = calloc(1, sizeof *scripted);
    scripted->lines = lines;
    scripted->line_count = line_count;
    if (is_local) {
        snprintf(scripted->path, sizeof scripted->path, "/tmp/qp-scripted-%d-%u", (int)getpid(), ++number);
        snprintf(text, sizeof text, "unix:%s", scripted->path);
    }
    assert_int_equal(qp_address_parse(qp_slice_str(text), &scripted->address, &why), QP_OK);
    scripted->listening = socket(scripted->address.u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(scripted->listening, &scripted->address.u.any, scripted->address.len), 0);
    assert_int_equal(listen(scripted->listening, 8), 0);
    if (!is_local)
        getsockname(scripted->listening, &scripted->address.u.any, &scripted->address.len);
    assert_int_equal(pthread_create(&scripted->thread, NULL, run, scripted), 0);
    return scripted;
}

void scripted_end(struct scripted *scripted)
{
    shutdown(scripted->listening, SHUT_RDWR);
    pthread_join(scripted->thread, NULL);
    close(scripted->listening);
    if (*scripted->path)
        unlink(scripted->path);
}

void scripted_free(struct scripted **slot)
{
    free(*slot);
    *slot = NULL;
}
