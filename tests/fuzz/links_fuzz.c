/* A JSON body, or what an origin says is one, through the links' rewriting.
 *
 * Input: one byte that says how the body is cut, then the body. What must hold: the output does not depend on the cuts; without
 * a link it is the input; with links it grows by the base at most, each; the quick look never says no wrongly.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "relay/links.h"

static const struct qp_links_rules RULES = {
    .origin_host = {"::1", 3}, .origin_port = 443, .base = {"http://127.0.0.1:8080/p", 23}};

static void collect(void *out, struct qp_slice bytes)
{
    qp_buf_append(out, bytes);
}

/* Each piece lies in memory of exactly its size. */
static uint64_t feed(struct qp_slice in, size_t piece, size_t grows, struct qp_buf *out)
{
    struct qp_links links = {0};
    qp_links_begin(&links, &RULES);
    while (in.len > 0) {
        size_t take = piece < in.len ? piece : in.len;
        char *copy = qp_alloc(take);
        memcpy(copy, in.at, take);
        qp_links_feed(&links, qp_slice(copy, take), collect, out);
        qp_free(copy);
        in = qp_slice(in.at + take, in.len - take);
        piece += grows;
    }
    qp_links_end(&links, collect, out);
    uint64_t rewritten = links.rewritten;
    qp_links_deinit(&links);
    return rewritten;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct qp_slice in = qp_slice((const char *)data + 1, size - 1);
    struct qp_buf whole = {0}, bytes = {0}, pieces = {0};
    uint64_t rewritten = feed(in, in.len, 0, &whole);
    qp_require(feed(in, 1, 0, &bytes) == rewritten);
    qp_require(feed(in, 1 + data[0] % 64u, data[0] / 64u, &pieces) == rewritten);
    qp_require(qp_slice_is(qp_buf_slice(&whole), qp_buf_slice(&bytes)));
    qp_require(qp_slice_is(qp_buf_slice(&whole), qp_buf_slice(&pieces)));
    qp_require(rewritten > 0 || qp_slice_is(qp_buf_slice(&whole), in));
    qp_require(qp_buf_len(&whole) <= in.len + rewritten * RULES.base.len);
    qp_require(rewritten == 0 || qp_links_may_occur(in));
    qp_buf_deinit(&whole);
    qp_buf_deinit(&bytes);
    qp_buf_deinit(&pieces);
    return 0;
}
