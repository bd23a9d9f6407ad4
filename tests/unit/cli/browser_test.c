#include "cli/browser.h"
#include "cmocka_all.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Two folders with programs in them. */
static char folder[] = "/tmp/qp-browser-XXXXXX";
static char path[512];

static void make_program(const char *name, const char *text, mode_t mode)
{
    char file[PATH_MAX];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    FILE *out = fopen(file, "w");
    fputs(text, out);
    fclose(out);
    chmod(file, mode);
}

static int begin(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "/nowhere::relative:%s", folder);
    make_program("xdg-open", "#!/bin/sh\n", 0700);
    make_program("firefox", "#!/bin/sh\n", 0700);
    make_program("page", "no program\n", 0600);
    return 0;
}

static int end(void **state)
{
    (void)state;
    static const char *const names[] = {"xdg-open", "firefox", "page", "recorder", "seen"};
    char file[PATH_MAX];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(file, sizeof file, "%s/%s", folder, names[i]);
        unlink(file);
    }
    return rmdir(folder);
}

/* expected: a name in the folder; NULL: none is chosen. */
static void assert_chosen(struct qp_browser_world world, const char *expected)
{
    char program[PATH_MAX];
    char whole[PATH_MAX];
    bool is_chosen = qp_browser_choose(&world, program, sizeof program);
    assert_int_equal(is_chosen, expected != NULL);
    if (!expected)
        return;
    snprintf(whole, sizeof whole, "%s/%s", folder, expected);
    assert_string_equal(program, whole);
}

static void a_screen_is_needed_for_xdg_open(void **state)
{
    (void)state;
    assert_chosen((struct qp_browser_world){.path = path}, NULL);
    assert_chosen((struct qp_browser_world){.path = path, .display = ""}, NULL);
    assert_chosen((struct qp_browser_world){.path = path, .display = ":0"}, "xdg-open");
    assert_chosen((struct qp_browser_world){.path = path, .wayland_display = "wayland-0"}, "xdg-open");
    assert_chosen((struct qp_browser_world){.path = "/nowhere", .display = ":0"}, NULL);
    assert_chosen((struct qp_browser_world){.display = ":0"}, NULL);
}

static void browser_goes_first(void **state)
{
    (void)state;
    char whole[PATH_MAX];
    snprintf(whole, sizeof whole, "%s/firefox", folder);
    assert_chosen((struct qp_browser_world){.path = path, .browser = "firefox", .display = ":0"}, "firefox");
    assert_chosen((struct qp_browser_world){.path = path, .browser = "firefox"}, "firefox");
    assert_chosen((struct qp_browser_world){.path = path, .browser = "not-there:firefox"}, "firefox");
    assert_chosen((struct qp_browser_world){.browser = whole}, "firefox");
    assert_chosen((struct qp_browser_world){.path = path, .browser = "page"}, NULL);
    assert_chosen((struct qp_browser_world){.path = path, .browser = "../firefox"}, NULL);
    assert_chosen((struct qp_browser_world){.path = path, .browser = "", .display = ":0"}, "xdg-open");
}

static void root_gets_none(void **state)
{
    (void)state;
    assert_chosen(
        (struct qp_browser_world){.is_root = true, .path = path, .browser = "firefox", .display = ":0"},
        NULL);
}

static void a_program_gets_the_url_as_its_only_argument(void **state)
{
    (void)state;
    char program[PATH_MAX];
    char seen[PATH_MAX];
    char script[4 * PATH_MAX];
    char line[256] = "";
    snprintf(program, sizeof program, "%s/recorder", folder);
    snprintf(seen, sizeof seen, "%s/seen", folder);
    snprintf(script, sizeof script, "#!/bin/sh\necho noise\necho \"$# $1\" >%s.new\nmv %s.new %s\n", seen,
             seen, seen);
    make_program("recorder", script, 0700);
    assert_true(qp_browser_open(program, "https://h.example/a?b=c&d=$(e)"));
    for (int i = 0; i < 1000 && access(seen, R_OK) != 0; i++)
        usleep(10000);
    FILE *in = fopen(seen, "r");
    assert_non_null(in);
    assert_non_null(fgets(line, sizeof line, in));
    fclose(in);
    assert_string_equal(line, "1 https://h.example/a?b=c&d=$(e)\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_screen_is_needed_for_xdg_open),
        cmocka_unit_test(browser_goes_first),
        cmocka_unit_test(root_gets_none),
        cmocka_unit_test(a_program_gets_the_url_as_its_only_argument),
    };
    return cmocka_run_group_tests_name("cli.browser", tests, begin, end);
}
