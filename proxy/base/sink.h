/* sink.h - a descriptor that log lines go to. Private to the log. Any thread.
 *
 * It never waits: what a pipe, a terminal or a socket does not take at once is lost, and so is what a full disk refuses. Nothing is lost silently:
 * the lines are counted, and the log says how many and why as soon as lines can be written again.
 */
#ifndef QP_BASE_SINK_H
#define QP_BASE_SINK_H

#include "base/slice.h"

struct qp_sink {
    int fd;
    /* Under the sinks' lock: */
    bool is_torn;    /* the last write ended inside a line */
    uint64_t untold; /* lines that were lost and that nobody has told of */
    uint64_t told_s; /* when somebody last did */
    int why;         /* errno of the last loss */
};

/* Writes lines, each with its newline; false: at least one of them was lost. */
bool qp_sink_write(struct qp_sink *sink, struct qp_slice lines);
/* Lines lost that nobody has told of. */
uint64_t qp_sink_losses(const struct qp_sink *sink);
/* Why the last ones were. Lives for ever. */
const char *qp_sink_why(const struct qp_sink *sink);
/* Takes them over for telling; 0: there are none, or some were told of in this same second. */
uint64_t qp_sink_take_losses(struct qp_sink *sink, uint64_t now_s);
/* They could not be told. */
void qp_sink_return_losses(struct qp_sink *sink, uint64_t lines);
/* All lines that all sinks lost. */
uint64_t qp_sink_lost_lines(void);

#endif
