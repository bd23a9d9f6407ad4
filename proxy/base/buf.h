/* buf.h - a growing run of bytes with a front that can be consumed.
 *
 *   data        start            end             capacity
 *    |  consumed  |    content    |    room        |
 *
 * Belongs to one owner. Growth doubles and is bounded by the caller's own limit: whoever appends what a client or an
 * origin sized checks the limit first. Appending aborts when memory is gone.
 */
#ifndef QP_BASE_BUF_H
#define QP_BASE_BUF_H

#include "base/slice.h"

struct qp_buf {
    char *data;
    size_t start;
    size_t end;
    size_t capacity;
};

/* A zeroed struct is an empty buffer. */

static inline struct qp_slice qp_buf_slice(const struct qp_buf *buf)
{
    return (struct qp_slice){.at = buf->data ? buf->data + buf->start : NULL, .len = buf->end - buf->start};
}
static inline size_t qp_buf_len(const struct qp_buf *buf)
{
    return buf->end - buf->start;
}

/* At least `bytes` of room behind the content; gives its start. Moves the content, so slices of it become invalid. */
char *qp_buf_reserve(struct qp_buf *buf, size_t bytes);
/* Says that `bytes` of the reserved room were filled. */
static inline void qp_buf_commit(struct qp_buf *buf, size_t bytes)
{
    buf->end += bytes;
}

/* As qp_buf_append(), but for what a peer can make large: false, and nothing changed, when there is no memory for it. */
bool qp_buf_try_append(struct qp_buf *buf, struct qp_slice bytes) __attribute__((warn_unused_result));
void qp_buf_append(struct qp_buf *buf, struct qp_slice bytes);
void qp_buf_append_str(struct qp_buf *buf, const char *text);
void qp_buf_append_char(struct qp_buf *buf, char c);
void qp_buf_append_u64(struct qp_buf *buf, uint64_t value);
void qp_buf_append_fmt(struct qp_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As the inside of a JSON string (RFC 8259 section 7): quotes, backslashes and control bytes escaped, 8-bit passed. */
void qp_buf_append_json(struct qp_buf *buf, struct qp_slice text);

void qp_buf_consume(struct qp_buf *buf, size_t bytes);
/* Empties, keeps the memory. */
static inline void qp_buf_clear(struct qp_buf *buf)
{
    buf->start = buf->end = 0;
}
/* Empties and frees; the struct can be used again. */
void qp_buf_deinit(struct qp_buf *buf);
/* As deinit, but wipes the memory first: for buffers that held a secret. */
void qp_buf_wipe(struct qp_buf *buf);

#endif
