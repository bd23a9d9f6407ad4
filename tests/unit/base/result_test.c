#include "base/result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static void each_result_has_its_own_text_and_name(void **state)
{
    for (int i = QP_OK; i <= QP_SELF_BROKEN; i++) {
        assert_string_not_equal(qp_result_text((enum qp_result)i), "unknown result");
        for (int k = QP_OK; k < i; k++) {
            assert_string_not_equal(qp_result_text((enum qp_result)i), qp_result_text((enum qp_result)k));
            assert_string_not_equal(qp_result_name((enum qp_result)i), qp_result_name((enum qp_result)k));
        }
    }
    assert_string_equal(qp_result_name(QP_NET_RESET), "QP_NET_RESET");
    assert_string_equal(qp_result_text(QP_NET_RESET), "connection reset");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_result_has_its_own_text_and_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
