/* control.h - the plain-HTTP listener through which tests read counters and turn knobs. On the main loop. */
#ifndef STANDIN_CONTROL_H
#define STANDIN_CONTROL_H

#include "call.h"
#include "net/tls.h"

/* What the workers' loops know, for /counters; summed over the workers. */
struct si_loops {
    struct qp_server_counters server;
    struct qp_tls_counters tls;
    unsigned streams;
};

struct si_control {
    struct si_world *world;
    /* Asks every worker and waits for the answers. */
    void (*ask_loops)(void *context, struct si_loops *loops);
    void *context;
};

extern const struct qp_handler si_control_handler; /* its context is a struct si_control */

#endif
