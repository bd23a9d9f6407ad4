<<<<<<< HEAD
/* The door: picks a subcommand; no logic. */
#include "version.h"
=======
/* main.c - the door. */
#include "cli/cli.h"
>>>>>>> base

int main(int argc, char **argv)
{
    return qp_cli_main(argc, argv);
}
