/* main.c - the door. */
#include "cli/cli.h"
#include "net/loop.h"
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int code = qp_cli_main(argc, argv);
    if (qp_loop_has_left_threads()) {
        fflush(NULL);
        _exit(code);
    }
    return code;
}
