/* cmocka.h wants these before it. */
#ifndef QP_TEST_CMOCKA_ALL_H
#define QP_TEST_CMOCKA_ALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#endif
