/* pages.h - the pages that a person sees on the way to a code: whole HTML documents. Pure. */
#ifndef STANDIN_PAGES_H
#define STANDIN_PAGES_H

#include "sign_ins.h"

/* What stands on every page. */
struct si_page {
    struct qp_buf *out;
    const char *datacenter;
};

/* name: what was typed before, or empty. failed: that name and its password did not fit. */
void si_page_sign_in(const struct si_page *page, const struct si_sign_in *sign_in, const char *client_id,
                     const char *name, bool failed);
void si_page_consent(const struct si_page *page, const struct si_sign_in *sign_in, const char *client_id);
/* The end of the way: nobody is sent anywhere. */
void si_page_fault(const struct si_page *page, const char *title, const char *text, const char *remedy);

#endif
