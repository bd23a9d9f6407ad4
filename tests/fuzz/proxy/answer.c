/* answer.c - what a scripted origin answers, and what of it the client must get. */
#include "fuzz/proxy/stage.h"

enum {
    HOW_FRAMING = 7,
    HOW_CLOSE = 1 << 3,
    HOW_NOMINATED = 1 << 4,
};

/* Rows of the three low bits. */
static const struct {
    bool chunked;
    bool until_close;
    bool json;
    bool trailers;
} framings[] = {
    {0},
    {.chunked = true},
    {.until_close = true},
    {.chunked = true, .trailers = true},
    {.json = true},
    {.chunked = true, .json = true},
    {.until_close = true, .json = true},
    {0},
};

static void put_json(struct qp_buf *body, const struct ask *ask, struct qp_slice link, unsigned seed,
                     size_t length)
{
    qp_buf_append_str(body, "{\"result\": {\"nextPage\": \"");
    qp_buf_append(body, link);
    qp_buf_append_fmt(body, "/API/v3/m!%04u!?offset=1\",\"x\":\"", ask->id);
    stage_put_body(body, seed, 0, length);
    qp_buf_append_str(body, "\"}}");
}

static void make_body(struct attempt *attempt, const struct ask *ask, unsigned how, size_t length)
{
    const unsigned seed = 1000 + ask->id * ATTEMPTS_MOST + (unsigned)(attempt - ask->attempts);
    struct qp_buf own = {0};

    if (!framings[how & HOW_FRAMING].json) {
        stage_put_body(&attempt->body, seed, 0, length);
        stage_put_body(&attempt->want, seed, 0, length);
        return;
    }
    qp_buf_append_fmt(&own, "https://%s", stage_hosts[ask->account]);
    const bool led_back = stage_leads_back() && attempt->status != 206;
    put_json(&attempt->body, ask, qp_buf_slice(&own), seed, length);
    put_json(&attempt->want, ask, led_back ? qp_buf_slice(&ask->link) : qp_buf_slice(&own), seed, length);
    qp_buf_deinit(&own);
}

static void put_head(struct attempt *attempt, const struct ask *ask, unsigned how, bool has_length)
{
    struct qp_buf *out = &attempt->give;
    const unsigned number = (unsigned)(attempt - ask->attempts);

    qp_buf_append_fmt(out, "HTTP/1.1 %u Said so\r\nX-Answer:a!%04u.%u!\r\n", attempt->status, ask->id,
                      number);
    if (attempt->status == 302)
        qp_buf_append_fmt(out, "Location: https://%s/API/v3/x\r\n", stage_hosts[ask->account]);
    if (framings[how & HOW_FRAMING].json)
        qp_buf_append_str(out, "content-type: application/json\r\n");
    if (how & HOW_NOMINATED)
        qp_buf_append_str(out, "Connection: x-nom, Date, X-Answer2\r\nX-Nom: 1\r\nKeep-Alive: timeout=3\r\n"
                               "Proxy-Authenticate: Basic\r\nUpgrade: h2\r\nTrailer: X-Trail\r\n");
    if (how & HOW_CLOSE)
        qp_buf_append_str(out, "Connection: close\r\n");
    if (has_length && framings[how & HOW_FRAMING].chunked)
        qp_buf_append_str(out, "Transfer-Encoding: chunked\r\n");
    else if (has_length && !framings[how & HOW_FRAMING].until_close)
        qp_buf_append_fmt(out, "Content-Length:\t%zu \r\n", qp_buf_len(&attempt->body));
    qp_buf_append_str(out, "\r\n");
}

static void put_chunks(struct qp_buf *out, struct qp_slice body, unsigned how)
{
    while (body.len > 0) {
        const size_t count = body.len > 3 ? body.len / 2 : body.len;
        qp_buf_append_fmt(out, "%zx\r\n", count);
        qp_buf_append(out, qp_slice(body.at, count));
        qp_buf_append_str(out, "\r\n");
        body = qp_slice(body.at + count, body.len - count);
    }
    qp_buf_append_str(out, "0\r\n");
    if (framings[how & HOW_FRAMING].trailers)
        qp_buf_append_str(out, "X-Trail: 2\r\nContent-Length: 5\r\n");
    if (how & HOW_NOMINATED)
        qp_buf_append_str(out, "x-nom: 3\r\n");
    qp_buf_append_str(out, "\r\n");
}

void answer_make(struct attempt *attempt, const struct ask *ask, unsigned status, unsigned how, size_t length)
{
    const bool no_body = status == 204 || status == 304 || strcmp(ask->method, "HEAD") == 0;

    attempt->status = status;
    attempt->has_answer = true;
    if (status == 204 || status == 205) { /* RFC 9110 section 15.3.6: a 205 has no content */
        how &= ~(unsigned)HOW_FRAMING;
        length = 0;
    }
    make_body(attempt, ask, how, length);
    put_head(attempt, ask, how, status != 204);
    attempt->until_close = !no_body && framings[how & HOW_FRAMING].until_close;
    if (no_body)
        return;
    if (framings[how & HOW_FRAMING].chunked)
        put_chunks(&attempt->give, qp_buf_slice(&attempt->body), how);
    else
        qp_buf_append(&attempt->give, qp_buf_slice(&attempt->body));
}
