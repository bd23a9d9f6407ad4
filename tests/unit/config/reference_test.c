#include "config/reference.h"
#include "told.h"

#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static char why[QP_REFERENCE_WHY_BYTES];

static int make_folder(void **state)
{
    snprintf(folder, sizeof(folder), "/tmp/qproxy-reference-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

static const char *in_folder(const char *kind, const char *name)
{
    static char text[256];
    snprintf(text, sizeof(text), "%s%s/%s", kind, folder, name);
    return text;
}

static void write_file(const char *name, const char *bytes, size_t len)
{
    FILE *file = fopen(in_folder("", name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    fclose(file);
}

static void assert_reads(const char *reference, const char *expected)
{
    struct qp_secret *secret = qp_reference_read(reference, why);
    if (!secret)
        fail_msg("%s", why);
    assert_true(qp_slice_is(qp_secret_reveal(secret), qp_slice_str(expected)));
    qp_secret_free(&secret);
}

static void assert_refuses(const char *reference, const char *part)
{
    assert_null(qp_reference_read(reference, why));
    if (!strstr(why, part))
        fail_msg("'%s' does not tell '%s'", why, part);
}

static void a_file_is_read_without_its_last_newline(void **state)
{
    static const char *const contents[] = {"s3cret", "s3cret\n", "s3cret\r\n"};
    for (size_t i = 0; i < 3; i++) {
        write_file("token", contents[i], strlen(contents[i]));
        assert_reads(in_folder("file:", "token"), "s3cret");
    }
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    assert_reads("cred:token", "s3cret");
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void a_file_that_cannot_be_a_secret_is_refused_without_showing_it(void **state)
{
    write_file("two", "one\ntwo\n", 8);
    assert_refuses(in_folder("file:", "two"),
                   "a control or non-ASCII byte at position 4; credentials are one line");
    assert_null(strstr(why, "one\n"));
    write_file("empty", "\n", 1);
    assert_refuses(in_folder("file:", "empty"), "is empty");
    char *big = malloc(65537);
    memset(big, 'x', 65537);
    write_file("big", big, 65536);
    struct qp_secret *secret = qp_reference_read(in_folder("file:", "big"), why);
    assert_non_null(secret);
    qp_secret_free(&secret);
    write_file("big", big, 65537);
    free(big);
    assert_refuses(in_folder("file:", "big"), "is longer than 64KiB");
    assert_refuses(in_folder("file:", "absent"), "cannot be opened: No such file or directory");
    assert_refuses(in_folder("file:", ""), "is not a regular file");
    assert_int_equal(mkfifo(in_folder("", "fifo"), 0600), 0);
    assert_refuses(in_folder("file:", "fifo"), "is not a regular file");
    assert_refuses("file:", "nothing stands behind 'file:'");
}

static void credentials_are_systemds(void **state)
{
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_refuses(
        "cred:token",
        "needs $CREDENTIALS_DIRECTORY, which systemd sets; give the unit LoadCredential=token:PATH");
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    assert_refuses("cred:../token", "is not the name of a credential");
    assert_refuses("cred:..", "is not the name of a credential");
    assert_refuses("cred:none", "cannot be opened");
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void P1_a_used_variable_is_wiped_from_the_environment_and_still_known(void **state)
{
    setenv("QP_TEST_SECRET", "hunter2", 1);
    setenv("QP_TEST_OTHER", "stays", 1);
    char *place = getenv("QP_TEST_SECRET");
    assert_reads("env:QP_TEST_SECRET", "hunter2");
    qp_config_forget_environment();
    assert_null(getenv("QP_TEST_SECRET"));
    assert_string_equal(place, "");
    assert_string_equal(getenv("QP_TEST_OTHER"), "stays");
    assert_true(qp_reference_environment_has("QP_TEST_SECRET"));
    assert_reads("env:QP_TEST_SECRET", "hunter2");
    qp_config_forget_environment();
    assert_reads("env:QP_TEST_SECRET", "hunter2");
    setenv("QP_TEST_SECRET", "newer", 1);
    assert_reads("env:QP_TEST_SECRET", "newer");
    assert_refuses("env:QP_TEST_NONE",
                   "the environment variable QP_TEST_NONE is not set; set it, or use file:PATH or cred:NAME");
    setenv("QP_TEST_NONE", "", 1);
    assert_refuses("env:QP_TEST_NONE", "the environment variable QP_TEST_NONE is empty");
    assert_false(qp_reference_environment_has("QP_TEST_NEVER"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_without_its_last_newline),
        cmocka_unit_test(a_file_that_cannot_be_a_secret_is_refused_without_showing_it),
        cmocka_unit_test(credentials_are_systemds),
        cmocka_unit_test(P1_a_used_variable_is_wiped_from_the_environment_and_still_known),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
