/* interrupt.h - SIGINT, SIGTERM and SIGHUP as something to wait for, so that a subcommand that waits can tidy up. Main thread, before there are others. */
#ifndef QP_CLI_INTERRUPT_H
#define QP_CLI_INTERRUPT_H

/* Blocks them; from then on the descriptor that is given can be read when one came. -1 with errno on failure. */
int qp_interrupt_open(void);
/* 128 and the number of the one that came. Of a descriptor that can be read. */
int qp_interrupt_exit_code(int fd);
/* Lets them act again, in this process and what it starts. *fd becomes -1; -1 inside is fine. */
void qp_interrupt_close(int *fd);

#endif
