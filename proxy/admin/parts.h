/* parts.h - the page's style, script and icon: the files beside this one, put into the program by embed.cmake. Private to admin/. */
#ifndef QP_ADMIN_PARTS_H
#define QP_ADMIN_PARTS_H

#include "base/slice.h"

struct qp_slice qp_part_style(void);
struct qp_slice qp_part_script(void);
struct qp_slice qp_part_icon(void);

#endif
