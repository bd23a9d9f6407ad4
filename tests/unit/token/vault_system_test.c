/* The vault on systems that know fewer calls than ours: containers whose filter is older than the C library, file systems that cannot set space
 * aside. */
#include "vault_rig.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From now on the call fails so, in this process. False: no filter can be set here. */
static bool refuse_call(unsigned number, unsigned error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* Some filters say EPERM where the C library waits for ENOSYS. */
static int open_without_faccessat2(struct rig *rig)
{
    if (!refuse_call(SYS_faccessat2, EPERM))
        return RIG_CANNOT;
    return rig_holds(rig, "one") ? 0 : 1;
}

static void test_a_vault_that_cannot_be_asked_for_is_not_begun_anew(void **state)
{
    struct rig *rig = *state;
    rig_make(rig, "one");
    rig_child_ends_well(open_without_faccessat2, rig);
    assert_true(rig_holds(rig, "one"));
}

static int write_without_fallocate(struct rig *rig)
{
    if (!refuse_call(SYS_fallocate, EOPNOTSUPP))
        return RIG_CANNOT;
    struct qp_vault *vault = rig_open(rig);
    for (int i = 0; i < 3; i++) {
        if (qp_vault_reserve(vault, rig->error, sizeof(rig->error)) != QP_OK)
            return 1;
        rig_write(rig, vault);
    }
    qp_vault_close(&vault);
    return 0;
}

static void test_no_space_can_be_set_aside(void **state)
{
    struct rig *rig = *state;
    rig_make(rig, "one");
    rig_child_ends_well(write_without_fallocate, rig);
    assert_true(rig_holds(rig, "one"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_vault_that_cannot_be_asked_for_is_not_begun_anew, rig_start,
                                        rig_end),
        cmocka_unit_test_setup_teardown(test_no_space_can_be_set_aside, rig_start, rig_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
