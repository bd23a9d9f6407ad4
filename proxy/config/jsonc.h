/* jsonc.h - JSON with comments, and where it is wrong. Private to config. */
#ifndef QP_CONFIG_JSONC_H
#define QP_CONFIG_JSONC_H

#include "base/slice.h"
#include "config/problems.h"

struct cJSON;

enum { QP_JSONC_MOST_BYTES = 1024 * 1024, QP_JSONC_DEEPEST = 16 };

/* NULL when there was a problem: at its line and column. Free with qp_jsonc_free(). */
struct cJSON *qp_jsonc_parse(struct qp_slice text, struct qp_problems *problems);

/* Wipes it: some texts may be secrets. */
void qp_jsonc_free(struct cJSON *json);

#endif
