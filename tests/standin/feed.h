/* feed.h - made-up content of any size, as a stream: the same bytes for the same seed.
 *
 * Four kinds: random bytes, rows of CSV, a zip with those rows in it (stored, not deflated), or the caller's memory; each
 * may be gzip-coded on top (stored blocks: valid, though not smaller).
 */
#ifndef STANDIN_FEED_H
#define STANDIN_FEED_H

#include "base/buf.h"
#include <mbedtls/sha256.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    SI_PIECE_BYTES = 32 * 1024,
    SI_FEED_ROOM = SI_PIECE_BYTES + 64,
    SI_ZIP_EDGE_BYTES = 128,
    SI_HASH_HEX = 65
};

/* Hashing ahead reads everything twice, so bigger content goes without a hash unless it is asked for. */
#define SI_HASHED_UNASKED ((uint64_t)32 << 20)

enum si_content { SI_RANDOM, SI_CSV, SI_ZIP, SI_MEMORY };

struct si_feed {
    enum si_content content;
    uint64_t seed;
    struct qp_slice memory; /* SI_MEMORY: borrowed */
    uint64_t payload_bytes; /* without the zip's frame */
    uint64_t at;            /* raw bytes given so far */
    uint32_t payload_crc;
    size_t prefix_bytes;
    size_t suffix_bytes;
    unsigned char prefix[SI_ZIP_EDGE_BYTES];
    unsigned char suffix[SI_ZIP_EDGE_BYTES];

    bool gzip;
    bool gzip_begun;
    bool gzip_ended;
    uint32_t gzip_crc;

    bool hashed; /* the raw bytes are hashed on the way */
    mbedtls_sha256_context hash;
};

void si_feed_init(struct si_feed *feed, enum si_content content, uint64_t seed, uint64_t bytes, bool gzip,
                  bool hashed);
void si_feed_init_memory(struct si_feed *feed, struct qp_slice memory, bool gzip);
/* From the beginning, for a second reading. */
void si_feed_rewind(struct si_feed *feed);
void si_feed_deinit(struct si_feed *feed);

/* Length of everything that si_feed_read() will give in all. */
uint64_t si_feed_length(const struct si_feed *feed);
/* The next piece into `out`, which has SI_FEED_ROOM bytes; 0 at the end. */
size_t si_feed_read(struct si_feed *feed, char *out);
/* After the end: SHA-256 of the content before gzip, in hex. */
void si_feed_hash(struct si_feed *feed, char hex[SI_HASH_HEX]);

void si_hash_hex(const unsigned char digest[32], char hex[SI_HASH_HEX]);

#endif
