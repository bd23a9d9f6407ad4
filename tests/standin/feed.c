#include "feed.h"
#include "base/check.h"
#include "world.h"
#include <stdio.h>

enum { BLOCK_BYTES = 64, GZIP_HEAD_BYTES = 10, GZIP_TAIL_BYTES = 13, STORED_HEAD_BYTES = 5 };

static const char file_name[] = "Survey.csv";

/* ---- CRC-32, eight bytes at a time ---- */

static uint32_t crc_table[8][256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void crc_fill(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) ? 0xedb88320u : 0);
        crc_table[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (unsigned k = 1; k < 8; k++)
            crc_table[k][i] = (crc_table[k - 1][i] >> 8) ^ crc_table[0][crc_table[k - 1][i] & 0xff];
}

static uint32_t crc_update(uint32_t crc, const char *at, size_t len)
{
    crc = ~crc;
    for (; len >= 8; len -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        word ^= crc; /* little-endian machines only, as the whole test set is */
        crc = crc_table[7][word & 0xff] ^ crc_table[6][(word >> 8) & 0xff] ^
              crc_table[5][(word >> 16) & 0xff] ^ crc_table[4][(word >> 24) & 0xff] ^
              crc_table[3][(word >> 32) & 0xff] ^ crc_table[2][(word >> 40) & 0xff] ^
              crc_table[1][(word >> 48) & 0xff] ^ crc_table[0][word >> 56];
    }
    for (; len > 0; len--, at++)
        crc = (crc >> 8) ^ crc_table[0][(crc ^ (unsigned char)*at) & 0xff];
    return ~crc;
}

/* ---- the frames of zip and gzip ---- */

static size_t put(unsigned char *out, uint32_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        out[i] = (unsigned char)(value >> (8 * i));
    return bytes;
}

/* What a local header and a central entry share: version, flags (sizes follow the data), stored, a fixed date. */
static size_t put_zip_common(unsigned char *out, uint32_t crc, uint32_t size)
{
    size_t at = put(out, 20, 2);
    at += put(out + at, 1u << 3, 2);
    at += put(out + at, 0, 2);
    at += put(out + at, 0, 2);
    at += put(out + at, (46u << 9) | (1u << 5) | 1u, 2); /* 2026-01-01 */
    at += put(out + at, crc, 4);
    at += put(out + at, size, 4);
    at += put(out + at, size, 4);
    at += put(out + at, sizeof(file_name) - 1, 2);
    at += put(out + at, 0, 2);
    return at;
}

static size_t zip_prefix(unsigned char *out)
{
    size_t at = put(out, 0x04034b50, 4);
    at += put_zip_common(out + at, 0, 0);
    memcpy(out + at, file_name, sizeof(file_name) - 1);
    return at + sizeof(file_name) - 1;
}

static size_t zip_suffix(unsigned char *out, uint32_t prefix_bytes, uint32_t crc, uint32_t size)
{
    size_t at = put(out, 0x08074b50, 4);
    at += put(out + at, crc, 4);
    at += put(out + at, size, 4);
    at += put(out + at, size, 4);
    size_t central = at;
    at += put(out + at, 0x02014b50, 4);
    at += put(out + at, 20, 2);
    at += put_zip_common(out + at, crc, size);
    memset(out + at, 0, 14); /* comment, disk, attributes, offset of the local header */
    at += 14;
    memcpy(out + at, file_name, sizeof(file_name) - 1);
    at += sizeof(file_name) - 1;
    size_t central_bytes = at - central;
    at += put(out + at, 0x06054b50, 4);
    at += put(out + at, 0, 4);
    at += put(out + at, 1, 2);
    at += put(out + at, 1, 2);
    at += put(out + at, (uint32_t)central_bytes, 4);
    at += put(out + at, prefix_bytes + size + (uint32_t)central, 4);
    at += put(out + at, 0, 2);
    return at;
}

/* ---- the payload ---- */

static void random_block(uint64_t seed, uint64_t number, char out[BLOCK_BYTES])
{
    for (uint64_t i = 0; i < 8; i++) {
        uint64_t word = si_mix(seed + 0x9e3779b97f4a7c15u * (number * 8 + i));
        memcpy(out + i * 8, &word, 8);
    }
}

static void csv_block(uint64_t seed, uint64_t number, char out[BLOCK_BYTES])
{
    char row[BLOCK_BYTES + 32];
    if (number == 0) {
        snprintf(row, sizeof(row), "%-63s", "ResponseId,RecordedDate,Finished,Q1,Q2");
    } else {
        uint64_t word = si_mix(seed ^ number);
        snprintf(row, sizeof(row), "R_%015llx,2026-01-%02u 12:00:00,1,%u,answer %010llu     ",
                 (unsigned long long)word & 0xfffffffffffffffull, (unsigned)(word % 28) + 1,
                 (unsigned)(word >> 60) % 7, (unsigned long long)number);
    }
    memcpy(out, row, BLOCK_BYTES - 1);
    out[BLOCK_BYTES - 1] = '\n';
}

static void payload(const struct si_feed *feed, uint64_t at, char *out, size_t len)
{
    if (feed->content == SI_MEMORY) {
        memcpy(out, feed->memory.at + at, len);
        return;
    }
    void (*make)(uint64_t, uint64_t, char *) = feed->content == SI_RANDOM ? random_block : csv_block;
    while (len > 0) {
        size_t skip = (size_t)(at % BLOCK_BYTES);
        size_t part = BLOCK_BYTES - skip < len ? BLOCK_BYTES - skip : len;
        if (part == BLOCK_BYTES) {
            make(feed->seed, at / BLOCK_BYTES, out);
        } else {
            char block[BLOCK_BYTES];
            make(feed->seed, at / BLOCK_BYTES, block);
            memcpy(out, block + skip, part);
        }
        at += part;
        out += part;
        len -= part;
    }
}

static uint64_t raw_length(const struct si_feed *feed)
{
    return feed->prefix_bytes + feed->payload_bytes + feed->suffix_bytes;
}

/* One run that lies wholly in the prefix, the payload or the suffix. */
static size_t raw_run(struct si_feed *feed, char *out, size_t room)
{
    uint64_t payload_at = feed->at - feed->prefix_bytes;
    if (feed->at < feed->prefix_bytes) {
        size_t run = feed->prefix_bytes - (size_t)feed->at;
        run = run < room ? run : room;
        memcpy(out, feed->prefix + feed->at, run);
        return run;
    }
    if (payload_at < feed->payload_bytes) {
        uint64_t left = feed->payload_bytes - payload_at;
        size_t run = left < room ? (size_t)left : room;
        payload(feed, payload_at, out, run);
        if (feed->content == SI_ZIP)
            feed->payload_crc = crc_update(feed->payload_crc, out, run);
        if (feed->content == SI_ZIP && run == left)
            zip_suffix(feed->suffix, (uint32_t)feed->prefix_bytes, feed->payload_crc,
                       (uint32_t)feed->payload_bytes);
        return run;
    }
    size_t suffix_at = (size_t)(payload_at - feed->payload_bytes);
    size_t run = feed->suffix_bytes - suffix_at;
    run = run < room ? run : room;
    memcpy(out, feed->suffix + suffix_at, run);
    return run;
}

/* Fills the room unless the end comes first. */
static size_t raw_read(struct si_feed *feed, char *out, size_t room)
{
    size_t filled = 0;
    while (filled < room && feed->at < raw_length(feed)) {
        size_t run = raw_run(feed, out + filled, room - filled);
        feed->at += run;
        filled += run;
    }
    if (feed->hashed && filled > 0)
        qp_require(mbedtls_sha256_update(&feed->hash, (unsigned char *)out, filled) == 0);
    if (feed->gzip)
        feed->gzip_crc = crc_update(feed->gzip_crc, out, filled);
    return filled;
}

/* ---- outside ---- */

void si_feed_init(struct si_feed *feed, enum si_content content, uint64_t seed, uint64_t bytes, bool gzip,
                  bool hashed)
{
    pthread_once(&crc_once, crc_fill);
    *feed = (struct si_feed){
        .content = content, .seed = seed, .payload_bytes = bytes, .gzip = gzip, .hashed = hashed};
    if (content == SI_CSV || content == SI_ZIP)
        feed->payload_bytes = (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
    if (content == SI_ZIP) {
        feed->prefix_bytes = zip_prefix(feed->prefix);
        feed->suffix_bytes = zip_suffix(feed->suffix, 0, 0, (uint32_t)feed->payload_bytes);
    }
    mbedtls_sha256_init(&feed->hash);
    si_feed_rewind(feed);
}

void si_feed_init_memory(struct si_feed *feed, struct qp_slice memory, bool gzip)
{
    si_feed_init(feed, SI_MEMORY, 0, memory.len, gzip, false);
    feed->memory = memory;
}

void si_feed_rewind(struct si_feed *feed)
{
    feed->at = 0;
    feed->payload_crc = 0;
    feed->gzip_crc = 0;
    feed->gzip_begun = feed->gzip_ended = false;
    if (feed->content == SI_ZIP) /* also right when there is no payload at all */
        zip_suffix(feed->suffix, (uint32_t)feed->prefix_bytes, 0, (uint32_t)feed->payload_bytes);
    if (feed->hashed)
        qp_require(mbedtls_sha256_starts(&feed->hash, 0) == 0);
}

void si_feed_deinit(struct si_feed *feed)
{
    mbedtls_sha256_free(&feed->hash);
}

uint64_t si_feed_length(const struct si_feed *feed)
{
    uint64_t raw = raw_length(feed);
    if (!feed->gzip)
        return raw;
    uint64_t pieces = (raw + SI_PIECE_BYTES - 1) / SI_PIECE_BYTES;
    return GZIP_HEAD_BYTES + pieces * STORED_HEAD_BYTES + raw + GZIP_TAIL_BYTES;
}

static size_t gzip_tail(struct si_feed *feed, unsigned char *out)
{
    size_t at = put(out, 1, 1); /* a last, empty stored block */
    at += put(out + at, 0xffff0000u, 4);
    at += put(out + at, feed->gzip_crc, 4);
    at += put(out + at, (uint32_t)raw_length(feed), 4);
    feed->gzip_ended = true;
    return at;
}

size_t si_feed_read(struct si_feed *feed, char *out)
{
    if (!feed->gzip)
        return raw_read(feed, out, SI_PIECE_BYTES);
    if (feed->gzip_ended)
        return 0;
    size_t head = 0;
    if (!feed->gzip_begun) {
        static const unsigned char magic[GZIP_HEAD_BYTES] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
        memcpy(out, magic, GZIP_HEAD_BYTES);
        head = GZIP_HEAD_BYTES;
        feed->gzip_begun = true;
    }
    size_t run = raw_read(feed, out + head + STORED_HEAD_BYTES, SI_PIECE_BYTES);
    if (run == 0)
        return head + gzip_tail(feed, (unsigned char *)out + head);
    unsigned char *block = (unsigned char *)out + head;
    put(block, 0, 1);
    put(block + 1, (uint32_t)run, 2);
    put(block + 3, ~(uint32_t)run, 2);
    return head + STORED_HEAD_BYTES + run;
}

void si_feed_hash(struct si_feed *feed, char hex[SI_HASH_HEX])
{
    unsigned char digest[32];
    qp_require(mbedtls_sha256_finish(&feed->hash, digest) == 0);
    si_hash_hex(digest, hex);
}

void si_hash_hex(const unsigned char digest[32], char hex[SI_HASH_HEX])
{
    for (size_t i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}
