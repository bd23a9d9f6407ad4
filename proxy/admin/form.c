#include "admin/form.h"

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The text has room for all of it already, so that earlier slices stay valid. */
static bool decode(struct qp_slice coded, struct qp_buf *text, struct qp_slice *out)
{
    size_t before = qp_buf_len(text);
    for (size_t i = 0; i < coded.len; i++) {
        char c = coded.at[i];
        if (c == '%') {
            int high = i + 2 < coded.len ? digit_of(coded.at[i + 1]) : -1;
            int low = i + 2 < coded.len ? digit_of(coded.at[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        if (c == '\0')
            return false;
        qp_buf_append_char(text, c);
    }
    struct qp_slice all = qp_buf_slice(text);
    *out = qp_slice(all.at + before, all.len - before);
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
    return decode(value.at ? value : QP_SLICE(""), &form->text, &member->value);
}

bool qp_form_parse(struct qp_slice text, struct qp_form *form)
{
    qp_buf_reserve(&form->text, text.len + 1);
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
