#include "base/fault.h"
#include "base/slice.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST_RULES = 16, TEXT_BYTES = 1024, POINT_BYTES = 64, ERRNO_END = 256, KILL = -1, STOP = -2 };

struct rule {
    struct qp_slice point;
    uint64_t from; /* acts from this passing on, counted from 1 */
    uint64_t only; /* 0, or the one passing at which it acts */
    int action;    /* KILL, STOP, or an errno */
    uint64_t passed;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char text[TEXT_BYTES]; /* what the rules were read from; their slices lie in it */
static struct rule rules[MOST_RULES];
static size_t rule_count;

/* A test with a typing error in it would pass without having tested anything. */
static _Noreturn void refuse(struct qp_slice what)
{
    fprintf(stderr, "QP_FAULT: '%.*s' is not POINT[@N]=kill|stop|ERRNO[@N]\n", QP_SLICE_FMT(what));
    abort();
}

static int action_of(struct qp_slice word)
{
    if (qp_slice_is(word, QP_SLICE("kill")))
        return KILL;
    if (qp_slice_is(word, QP_SLICE("stop")))
        return STOP;
    for (int number = 1; number < ERRNO_END; number++) {
        const char *name = strerrorname_np(number);
        if (name && qp_slice_is(word, qp_slice_str(name)))
            return number;
    }
    return 0;
}

/* Cuts "@N" off; `fallback` where there is none, 0 where N is no number. */
static uint64_t take_count(struct qp_slice *part, uint64_t fallback)
{
    struct qp_slice count = *part;
    uint64_t value = 0;
    *part = qp_slice_cut(&count, '@');
    if (!count.at)
        return fallback;
    return qp_slice_to_u64(count, &value) ? value : 0;
}

static void read_rule(struct qp_slice whole, struct rule *rule)
{
    struct qp_slice action = whole;
    *rule = (struct rule){.point = qp_slice_cut(&action, '=')};
    if (!action.at)
        refuse(whole);
    bool has_only = memchr(action.at, '@', action.len);
    rule->from = take_count(&rule->point, 1);
    rule->only = take_count(&action, 0);
    rule->action = action_of(action);
    if (!rule->point.len || !rule->action || !rule->from || (has_only && !rule->only))
        refuse(whole);
}

static void read_rules(const char *wanted)
{
    rule_count = 0;
    if ((size_t)snprintf(text, sizeof(text), "%s", wanted) >= sizeof(text))
        refuse(qp_slice_str(wanted));
    struct qp_slice rest = text[0] ? qp_slice_str(text) : QP_SLICE_NONE;
    while (rest.at) {
        struct qp_slice part = qp_slice_cut(&rest, ',');
        if (rule_count == MOST_RULES)
            refuse(part);
        read_rule(part, &rules[rule_count++]);
    }
}

/* 0: go on. Under the lock. */
static int pass(const char *point)
{
    const char *wanted = getenv("QP_FAULT");
    int action = 0;
    if (strcmp(wanted ? wanted : "", text) != 0)
        read_rules(wanted ? wanted : "");
    for (size_t i = 0; i < rule_count; i++) {
        struct rule *rule = &rules[i];
        if (!qp_slice_is(rule->point, qp_slice_str(point)))
            continue;
        rule->passed++;
        bool acts = rule->only ? rule->passed == rule->only : rule->passed >= rule->from;
        if (acts && !action)
            action = rule->action;
    }
    return action;
}

bool qp_fault(const char *point)
{
    pthread_mutex_lock(&lock);
    int action = pass(point);
    pthread_mutex_unlock(&lock);
    if (action == KILL) {
        kill(getpid(), SIGKILL);
        for (;;)
            pause(); /* until the signal is here */
    }
    if (action == STOP)
        kill(getpid(), SIGSTOP);
    if (action > 0)
        errno = action;
    return action > 0;
}

bool qp_fault_fmt(const char *format, ...)
{
    char point[POINT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(point, sizeof(point), format, args);
    va_end(args);
    return qp_fault(point);
}
