#include "config/problems.h"
#include "base/alloc.h"
#include "base/buf.h"

#include <stdarg.h>

enum { MOST_PROBLEMS = 100, TEXT_BYTES = 1024 };

static char *printable_copy(const char *text)
{
    if (!text)
        return NULL;
    char *copy = qp_strndup(text, strlen(text));
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            *c = '?';
    return copy;
}

void qp_problems_add(struct qp_problems *problems, const char *place, const char *format, ...)
{
    if (problems->count == MOST_PROBLEMS) {
        problems->not_kept++;
        return;
    }
    if (!problems->at)
        problems->at = qp_alloc(MOST_PROBLEMS * sizeof(*problems->at));
    char text[TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    problems->at[problems->count++] = (struct qp_problem){printable_copy(place), printable_copy(text)};
}

void qp_problems_print(const struct qp_problems *problems, const char *source, FILE *out)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct qp_problem *problem = &problems->at[i];
        if (problem->place)
            fprintf(out, "%s: %s: %s\n", source, problem->place, problem->text);
        else
            fprintf(out, "%s: %s\n", source, problem->text);
    }
    if (problems->not_kept)
        fprintf(out, "%s: and %zu more\n", source, problems->not_kept);
}

void qp_problems_deinit(struct qp_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        qp_free(problems->at[i].place);
        qp_free(problems->at[i].text);
    }
    qp_free(problems->at);
    *problems = (struct qp_problems){0};
}
