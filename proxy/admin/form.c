#include "admin/form.h"
#include "http/form.h"

/* The text has room for all of it and a NUL behind each part already, so that earlier slices stay valid. */
static bool decode(struct qp_slice coded, struct qp_buf *text, struct qp_slice *out)
{
    char *room = qp_buf_reserve(text, coded.len + 1);
    if (!qp_form_decode(coded, room, coded.len + 1))
        return false;
    *out = qp_slice_str(room);
    qp_buf_commit(text, out->len + 1);
    return true;
}

static bool add_member(struct qp_form *form, struct qp_slice coded)
{
    struct qp_form_member *member = &form->members[form->count];
    struct qp_slice value = coded;
    struct qp_slice name = qp_slice_cut(&value, '=');
    if (form->count == QP_FORM_MEMBERS || name.len == 0 || !decode(name, &form->text, &member->name))
        return false;
    for (unsigned i = 0; i < form->count; i++)
        if (qp_slice_is(form->members[i].name, member->name))
            return false;
    form->count++;
    return decode(value, &form->text, &member->value);
}

bool qp_form_parse(struct qp_slice text, struct qp_form *form)
{
    qp_buf_reserve(&form->text, text.len + (size_t)2 * QP_FORM_MEMBERS + 2);
    while (text.len > 0) {
        struct qp_slice coded = qp_slice_cut(&text, '&');
        if (coded.len == 0 || !add_member(form, coded)) {
            qp_form_deinit(form);
            return false;
        }
    }
    return true;
}

void qp_form_deinit(struct qp_form *form)
{
    qp_buf_wipe(&form->text);
    *form = (struct qp_form){0};
}

struct qp_slice qp_form_get(const struct qp_form *form, const char *name)
{
    for (unsigned i = 0; i < form->count; i++)
        if (qp_slice_is(form->members[i].name, qp_slice_str(name)))
            return form->members[i].value;
    return QP_SLICE_NONE;
}
