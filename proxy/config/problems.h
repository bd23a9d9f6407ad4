/* problems.h - everything that is wrong with a configuration, gathered to be shown at once. One owner. */
#ifndef QP_CONFIG_PROBLEMS_H
#define QP_CONFIG_PROBLEMS_H

#include <stddef.h>
#include <stdio.h>

struct qp_problem {
    char *place; /* "line:column", the key's path ("accounts[0].grant"), or the name of an environment
                    variable */
    char *text;  /* what was found, what is allowed */
};

/* Zeroed is empty. A list that is hundreds of lines long helps nobody: the rest is only counted. */
struct qp_problems {
    struct qp_problem *at;
    size_t count;
    size_t not_kept;
    /* Borrowed. Where it is set, references that cannot be read from here are told there, and are no reason to refuse the
     * configuration: it is loaded without what they refer to. */
    struct qp_problems *unread;
};

/* place: copied; NULL where there is none (the file as a whole). Bytes that a terminal would obey become '?'.
 */
void qp_problems_add(struct qp_problems *problems, const char *place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* One line each: "source: place: text". */
void qp_problems_print(const struct qp_problems *problems, const char *source, FILE *out);
void qp_problems_deinit(struct qp_problems *problems);

#endif
