/* form.h - all members of a form's body or of a query, decoded (http/form.h). Pure. Private to admin/.
 *
 * Strict: what can be read in two ways (a name twice, half a percent code, a NUL) is not read at all.
 */
#ifndef QP_ADMIN_FORM_H
#define QP_ADMIN_FORM_H

#include "base/buf.h"

enum { QP_FORM_MEMBERS = 16 };

struct qp_form_member {
    struct qp_slice name;
    struct qp_slice value;
};

struct qp_form {
    struct qp_form_member members[QP_FORM_MEMBERS];
    unsigned count;
    struct qp_buf text; /* what the members are slices of */
};

/* form: zeroed. False for what is not valid or has too many members; then it is empty. It holds what people typed, so qp_form_deinit() wipes. */
bool qp_form_parse(struct qp_slice text, struct qp_form *form);
void qp_form_deinit(struct qp_form *form);
/* QP_SLICE_NONE if there is none. */
struct qp_slice qp_form_get(const struct qp_form *form, const char *name);

#endif
