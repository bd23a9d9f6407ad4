/* The door: picks a subcommand; no logic. */
#include "version.h"

#include <stdio.h>

int main(void)
{
    puts("qproxy " QP_VERSION);
    return 0;
}
