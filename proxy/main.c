/* main.c - the door. */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return qp_cli_main(argc, argv);
}
