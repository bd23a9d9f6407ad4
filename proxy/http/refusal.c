#include "http/refusal.h"

#include "base/check.h"

static const struct qp_refusal rows[] = {
    [QP_REFUSAL_NONE] = {0, "", ""},
#define QP_REFUSAL_ROW(id, status, code, text) [id] = {status, code, text},
#include "http/refusals.def"
#undef QP_REFUSAL_ROW
};

const struct qp_refusal *qp_refusal_get(enum qp_refusal_id id)
{
    qp_require(id < QP_REFUSAL_COUNT);
    return &rows[id];
}
