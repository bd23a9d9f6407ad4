/* exit_codes.h - what the program ends with: one class of sysexits.h for each kind of outcome. Pure.
 *
 * Where several things went wrong, the highest code is the one: the classes are sorted so that what only a person can mend stands above what may
 * pass by itself.
 */
#ifndef QP_CLI_EXIT_CODES_H
#define QP_CLI_EXIT_CODES_H

#include "base/result.h"
#include "token/vault.h"
#include <stdbool.h>
#include <stdio.h>

/* The whole table, for --help. */
void qp_exit_print(FILE *out);

int qp_exit_of_vault(enum qp_vault_outcome outcome);
/* Of an address that could not be had. */
int qp_exit_of_claim(enum qp_result result);
/* Of an order that did not end well: by its code word (keeper.h, sign_in.h, admin.h). */
int qp_exit_of_order(const char *code);
/* Of an account as /api/status has it. */
int qp_exit_of_account(bool is_usable, const char *state);
int qp_exit_worse(int a, int b);

#endif
