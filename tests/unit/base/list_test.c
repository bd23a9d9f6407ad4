#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct member {
    int number;
    struct qp_list link;
};

static int number_of(struct qp_list *link)
{
    return QP_CONTAINER_OF(link, struct member, link)->number;
}

static void members_come_in_the_order_of_their_insertion(void **state)
{
    struct qp_list head;
    qp_list_init(&head);
    assert_true(qp_list_is_empty(&head));
    assert_null(qp_list_shift(&head));
    struct member members[3] = {{.number = 1}, {.number = 2}, {.number = 0}};
    qp_list_append(&head, &members[0].link);
    qp_list_append(&head, &members[1].link);
    qp_list_prepend(&head, &members[2].link);
    int expected = 0;
    QP_LIST_FOR_EACH (link, &head)
        assert_int_equal(number_of(link), expected++);
    assert_int_equal(expected, 3);
    assert_int_equal(number_of(qp_list_shift(&head)), 0);
    assert_false(qp_list_is_linked(&members[2].link));
    assert_true(qp_list_is_linked(&members[0].link));
}

static void removing_twice_is_harmless_and_removing_while_walking_too(void **state)
{
    struct qp_list head;
    qp_list_init(&head);
    struct member members[10];
    for (int i = 0; i < 10; i++) {
        members[i].number = i;
        qp_list_append(&head, &members[i].link);
    }
    QP_LIST_FOR_EACH_SAFE (link, &head) {
        if (number_of(link) % 2)
            qp_list_remove(link);
    }
    qp_list_remove(&members[1].link);
    int expected = 0;
    QP_LIST_FOR_EACH (link, &head) {
        assert_int_equal(number_of(link), expected);
        expected += 2;
    }
    assert_int_equal(expected, 10);
}

static void a_list_is_moved_aside_whole(void **state)
{
    struct qp_list from;
    struct qp_list to;
    qp_list_init(&from);
    qp_list_init(&to);
    qp_list_move_all(&to, &from);
    assert_true(qp_list_is_empty(&to));
    struct member members[2] = {{.number = 0}, {.number = 1}};
    qp_list_append(&from, &members[0].link);
    qp_list_append(&from, &members[1].link);
    qp_list_move_all(&to, &from);
    assert_true(qp_list_is_empty(&from));
    assert_int_equal(number_of(qp_list_shift(&to)), 0);
    assert_int_equal(number_of(qp_list_shift(&to)), 1);
    assert_true(qp_list_is_empty(&to));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_come_in_the_order_of_their_insertion),
        cmocka_unit_test(removing_twice_is_harmless_and_removing_while_walking_too),
        cmocka_unit_test(a_list_is_moved_aside_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
