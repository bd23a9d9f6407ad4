/* values.h - texts and what they mean: durations, sizes, names. Pure. Private to config. */
#ifndef QP_CONFIG_VALUES_H
#define QP_CONFIG_VALUES_H

#include "base/slice.h"

enum { QP_VALUE_BYTES = 32 };

/* "250ms", "10s", "1m", "1h", "1d": digits and one unit. The value is written only on true. */
bool qp_duration_parse(const char *text, uint64_t *ms);
/* "512B", "64KiB", "2MiB", "1GiB". */
bool qp_size_parse(const char *text, uint64_t *bytes);
/* In the largest unit that gives a whole number. out holds QP_VALUE_BYTES. Gives out. */
char *qp_duration_format(uint64_t ms, char *out);
char *qp_size_format(uint64_t bytes, char *out);

/* How many characters to insert, delete, replace or swap with their neighbour; `limit` if that or more, or if
 * either text is very long. */
size_t qp_text_distance(const char *a, const char *b, size_t limit);

/* ASCII letters, in place. */
void qp_text_lower(char *text);

/* DNS labels, or a numeric address (IPv6 without brackets). */
bool qp_is_host(const char *text);

/* Why a text is refused, with what is allowed; NULL if it is fine. */
const char *qp_refuse_name(const char *text);
const char *qp_refuse_datacenter(const char *text);
const char *qp_refuse_host(const char *text);
const char *qp_refuse_path_prefix(const char *text);
const char *qp_refuse_scope(const char *text);
const char *qp_refuse_unprintable(const char *text);
const char *qp_refuse_via(const char *text);

#endif
