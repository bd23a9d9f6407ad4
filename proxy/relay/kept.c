#include "relay/kept.h"
#include "base/alloc.h"
#include "base/check.h"
#include "token/seal.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
    BLOCK_BYTES = 64 * 1024,
    SEALED_BYTES = BLOCK_BYTES + QP_SEAL_TAG_BYTES,
    LARGE_BYTES = 4 * BLOCK_BYTES,
    WARM_BYTES = 64 * 1024, /* of memory that stays with the struct between requests */
    WARNINGS_A_SECOND = 1
};

/* Every request has the same trouble with a folder that cannot be written to. */
static void warn(struct qp_kept_budget *budget, const char *what)
{
    int error = errno;
    if (qp_log_may(&budget->warnings, WARNINGS_A_SECOND))
        qp_log_warn(
            "relay",
            "%s in '%s' (%s): the body is not replayable; let replay.dir be a writable folder with space",
            what, budget->folder, strerror(error));
}

void qp_kept_begin(struct qp_kept *kept, struct qp_kept_budget *budget)
{
    kept->budget = budget;
    kept->fd = -1;
    kept->whole = true;
    kept->spilled = false;
}

/* The worker's total counts what this body's buffer holds now. */
static void recount(struct qp_kept *kept)
{
    uint64_t now = qp_buf_len(&kept->memory);
    kept->budget->used_bytes = kept->budget->used_bytes - kept->counted_bytes + now;
    kept->counted_bytes = now;
}

static void close_file(struct qp_kept *kept)
{
    if (kept->fd >= 0)
        close(kept->fd);
    kept->fd = -1;
    qp_seal_free(&kept->seal);
    qp_buf_deinit(&kept->opened);
    kept->opened_block = 0;
    kept->file_bytes = 0;
}

void qp_kept_reset(struct qp_kept *kept)
{
    close_file(kept);
    if (kept->memory.capacity > WARM_BYTES)
        qp_buf_deinit(&kept->memory);
    qp_buf_clear(&kept->memory);
    recount(kept);
    kept->base = kept->total = 0;
}

void qp_kept_deinit(struct qp_kept *kept)
{
    if (kept->budget)
        qp_kept_reset(kept);
    qp_buf_deinit(&kept->memory);
}

static bool write_all(int fd, const char *bytes, size_t len, uint64_t offset)
{
    while (len > 0) {
        ssize_t wrote = pwrite(fd, bytes, len, (off_t)offset);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return false;
        bytes += wrote;
        len -= (size_t)wrote;
        offset += (uint64_t)wrote;
    }
    return true;
}

static bool open_file(struct qp_kept *kept)
{
    if (kept->fd >= 0)
        return true;
    kept->fd = open(kept->budget->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (kept->fd < 0) {
        warn(kept->budget, "no file for a replay copy can be made");
        return false;
    }
    kept->seal = qp_seal_new();
    kept->spilled = true;
    return true;
}

/* What is left is less than a block: gives a large buffer back. */
static void shrink(struct qp_buf *memory)
{
    struct qp_buf tail = {0};
    if (memory->capacity <= LARGE_BYTES)
        return;
    qp_buf_append(&tail, qp_buf_slice(memory));
    qp_buf_deinit(memory);
    *memory = tail;
}

/* Moves whole blocks from memory to the file. */
static bool spill(struct qp_kept *kept)
{
    if (!open_file(kept))
        return false;
    char *sealed = qp_buf_reserve(&kept->opened, SEALED_BYTES);
    kept->opened_block = 0;
    while (qp_buf_len(&kept->memory) >= BLOCK_BYTES) {
        uint64_t index = kept->file_bytes / BLOCK_BYTES;
        struct qp_slice block = qp_slice(qp_buf_slice(&kept->memory).at, BLOCK_BYTES);
        if (qp_seal_close_block(kept->seal, index, block, sealed) != QP_OK ||
            !write_all(kept->fd, sealed, SEALED_BYTES, index * SEALED_BYTES)) {
            warn(kept->budget, "a replay copy cannot be written");
            return false;
        }
        kept->file_bytes += BLOCK_BYTES;
        qp_buf_consume(&kept->memory, BLOCK_BYTES);
    }
    shrink(&kept->memory);
    return true;
}

static bool must_spill(const struct qp_kept *kept)
{
    uint64_t held = qp_buf_len(&kept->memory);
    if (kept->fd >= 0)
        return held >= BLOCK_BYTES;
    return held > kept->budget->memory_bytes ||
           (held >= BLOCK_BYTES &&
            (kept->budget->used_bytes > kept->budget->memory_total_bytes || qp_alloc_is_short()));
}

/* Drops what lies before `sent`. The file, if there is one, can go only when all of it was sent; until then its bytes stay readable. */
static void drop_sent(struct qp_kept *kept, uint64_t sent)
{
    uint64_t memory_start = kept->total - qp_buf_len(&kept->memory);
    if (sent > memory_start)
        qp_buf_consume(&kept->memory, (size_t)(sent - memory_start));
    if (kept->fd >= 0 && sent >= kept->file_bytes)
        close_file(kept);
    kept->base = sent;
    recount(kept);
}

void qp_kept_release(struct qp_kept *kept, uint64_t sent)
{
    kept->whole = false;
    drop_sent(kept, sent);
}

/* Without memory for it the copy makes room, by the file or by what was sent; what is left then is small. */
static void take(struct qp_kept *kept, struct qp_slice piece, uint64_t sent)
{
    if (qp_buf_try_append(&kept->memory, piece))
        return;
    kept->whole = kept->whole && spill(kept);
    if (!kept->whole)
        drop_sent(kept, sent);
    qp_buf_append(&kept->memory, piece);
}

bool qp_kept_append(struct qp_kept *kept, struct qp_slice piece, uint64_t sent)
{
    bool was_whole = kept->whole;
    take(kept, piece, sent);
    kept->total += piece.len;
    recount(kept);
    if (kept->whole && kept->total > kept->budget->body_bytes)
        kept->whole = false;
    if (kept->whole && must_spill(kept)) {
        kept->whole = spill(kept);
        recount(kept);
    }
    if (!kept->whole)
        drop_sent(kept, sent);
    return kept->whole || !was_whole;
}

static enum qp_result open_block(struct qp_kept *kept, uint64_t index)
{
    if (kept->opened_block == index + 1)
        return QP_OK;
    char *room = qp_buf_reserve(&kept->opened, SEALED_BYTES + BLOCK_BYTES);
    char *sealed = room + BLOCK_BYTES;
    size_t have = 0;
    while (have < SEALED_BYTES) {
        ssize_t got =
            pread(kept->fd, sealed + have, SEALED_BYTES - have, (off_t)(index * SEALED_BYTES + have));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return QP_SELF_IO;
        have += (size_t)got;
    }
    enum qp_result result = qp_seal_open_block(kept->seal, index, qp_slice(sealed, SEALED_BYTES), room);
    kept->opened_block = result == QP_OK ? index + 1 : 0;
    return result;
}

enum qp_result qp_kept_read(struct qp_kept *kept, uint64_t offset, struct qp_slice *bytes)
{
    qp_require(offset >= kept->base && offset < kept->total);
    if (offset < kept->file_bytes) {
        enum qp_result result = open_block(kept, offset / BLOCK_BYTES);
        if (result != QP_OK)
            return result;
        size_t skip = (size_t)(offset % BLOCK_BYTES);
        *bytes = qp_slice(kept->opened.data + skip, BLOCK_BYTES - skip);
        return QP_OK;
    }
    uint64_t memory_start = kept->total - qp_buf_len(&kept->memory);
    struct qp_slice memory = qp_buf_slice(&kept->memory);
    size_t skip = (size_t)(offset - memory_start);
    *bytes = qp_slice(memory.at + skip, memory.len - skip);
    return QP_OK;
}
