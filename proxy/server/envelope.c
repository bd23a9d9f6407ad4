#include "server/envelope.h"
#include "http/write.h"

void qp_envelope_error(struct qp_buf *body, unsigned status, const char *code, const char *text,
                       const char *detail, uint64_t conn, uint64_t request)
{
    qp_buf_append_fmt(body, "{\"meta\":{\"httpStatus\":\"%u - ", status);
    qp_buf_append(body, qp_status_reason(status));
    qp_buf_append_fmt(body, "\",\"requestId\":\"qproxy-%llu-%llu\",\"error\":{\"errorMessage\":\"qproxy: ",
                      (unsigned long long)conn, (unsigned long long)request);
    qp_buf_append_json(body, qp_slice_str(text));
    if (detail && *detail) {
        qp_buf_append(body, QP_SLICE(" ("));
        qp_buf_append_json(body, qp_slice_str(detail));
        qp_buf_append_char(body, ')');
    }
    qp_buf_append(body, QP_SLICE("\",\"errorCode\":\"qproxy_"));
    qp_buf_append_json(body, qp_slice_str(code));
    qp_buf_append(body, QP_SLICE("\"}}}\n"));
}
