/* browser.h - showing somebody a page, where there is a screen to show it on. Main thread. */
#ifndef QP_CLI_BROWSER_H
#define QP_CLI_BROWSER_H

#include <stdbool.h>
#include <stddef.h>

/* What the choice depends on; texts as the environment has them, NULL: not set. */
struct qp_browser_world {
    bool is_root;
    const char *browser; /* BROWSER */
    const char *display; /* DISPLAY */
    const char *wayland_display;
    const char *path;
};

struct qp_browser_world qp_browser_world(void);
/* The program: of BROWSER the first that is there, or, where there is a screen, xdg-open. False: none (as root never: a browser does not belong to
 * root). */
bool qp_browser_choose(const struct qp_browser_world *world, char *program, size_t size);
/* Starts it with the URL and lets it be: it does not end with us, and says nothing here. False: it could not be started. */
bool qp_browser_open(const char *program, const char *url);

#endif
