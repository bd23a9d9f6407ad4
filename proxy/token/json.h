/* json.h - a JSON object out of bytes that may be anything. Private to token/; control thread.
 *
 * What cJSON holds may be a secret: it is wiped when cJSON frees it.
 */
#ifndef QP_TOKEN_JSON_H
#define QP_TOKEN_JSON_H

#include "base/slice.h"

struct cJSON;

/* NULL unless all of the text is one JSON object. For cJSON_Delete(), before anybody else uses cJSON. */
struct cJSON *qp_json_object(struct qp_slice text);

#endif
