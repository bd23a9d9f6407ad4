/* json.h - JSON from outside, whose memory is wiped when it is freed. For token/ and cli/; one thread of a process: cJSON's hooks are global. */
#ifndef QP_TOKEN_JSON_H
#define QP_TOKEN_JSON_H

#include "base/slice.h"
#include <cJSON.h>

/* The object that is all of the body, or NULL. The caller deletes it with cJSON_Delete(). */
cJSON *qp_json_parse_object(struct qp_slice body);
/* The same of what is not ours: NULL too if a text in it holds a NUL, which would make it a shorter, other one here. */
cJSON *qp_json_parse_answer(struct qp_slice body);
/* A member that is a text and not empty, or NULL. */
const char *qp_json_string_of(const cJSON *object, const char *name);
/* The same into `out`, cut to fit (in the middle of a character, if need be), control bytes as '?'; "" where there is none. */
void qp_json_text_of(const cJSON *object, const char *name, char *out, size_t size);

#endif
