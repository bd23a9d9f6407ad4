/* resolve.c - one host's addresses, kept.
 *
 *   nothing --ask--> waiting --answer--> fresh --keep_ms--> due: used, and asked for in the background
 *                       |                                    |
 *                       +--fault: told to all who waited     +--fault: used on, asked again after RETRY_MS, for up to STALE_MS
 *
 * libuv's request cannot be taken back once a thread works on it, so it lives in memory of its own.
 */
#include "net/resolve.h"

#include "base/alloc.h"
#include "base/log.h"
#include "net/loop_impl.h"
#include <netdb.h>
#include <stdio.h>

enum {
    ADDRESSES = 128, /* of one answer; what is beyond is left out */
    RETRY_MS = 1000, /* a resolver that has failed is not asked again before this */
    STALE_MS = 24 * 3600 * 1000
};

struct question {
    uv_getaddrinfo_t request;
    struct qp_loop *loop;
    struct qp_resolver *resolver; /* NULL: nobody wants the answer any more */
};

struct qp_resolver {
    struct qp_loop *loop;
    char *host;
    uint16_t port;
    bool is_numeric; /* the host is an address: nothing to ask */
    bool is_failing; /* the last question had no answer */
    uint32_t keep_ms;
    uint32_t epoch;
    struct question *question; /* running */
    struct qp_list waiting;
    struct qp_answer *answer;
    uint64_t answered_ms; /* when `answer` came */
    uint64_t asked_ms;    /* when the last question ended */
    uint64_t due_ms;      /* from then on it is to be asked again */
    enum qp_result fault; /* of the last question */
    char detail[160];
};

/* --- answers --- */

struct qp_answer *qp_answer_hold(struct qp_answer *answer)
{
    answer->use_count++;
    return answer;
}

void qp_answer_drop(struct qp_answer **slot)
{
    struct qp_answer *answer = *slot;

    *slot = NULL;
    if (answer && --answer->use_count == 0)
        qp_free(answer);
}

bool qp_answer_has(const struct qp_answer *answer, const struct qp_address *address)
{
    for (unsigned i = 0; i < answer->count; i++) {
        if (qp_address_equal(&answer->at[i], address))
            return true;
    }
    return false;
}

static struct qp_answer *new_answer(unsigned count)
{
    struct qp_answer *answer = qp_alloc(sizeof(*answer) + count * sizeof(answer->at[0]));

    answer->use_count = 1;
    return answer;
}

static bool is_usable(const struct addrinfo *info)
{
    return info->ai_family == AF_INET || info->ai_family == AF_INET6;
}

static void add(struct qp_answer *answer, const struct sockaddr *from, uint16_t port)
{
    struct qp_address address = {.len = 0};

    if (from->sa_family == AF_INET6) {
        memcpy(&address.u.v6, from, sizeof(address.u.v6));
        address.u.v6.sin6_port = htons(port);
        address.len = sizeof(address.u.v6);
    } else {
        memcpy(&address.u.v4, from, sizeof(address.u.v4));
        address.u.v4.sin_port = htons(port);
        address.len = sizeof(address.u.v4);
    }
    if (!qp_answer_has(answer, &address))
        answer->at[answer->count++] = address;
}

/* The next one of the list that is of the family (or, so is_other says, of another one). */
static const struct addrinfo *next_of(const struct addrinfo *list, int family, bool is_other)
{
    while (list && (!is_usable(list) || (list->ai_family == family) == is_other))
        list = list->ai_next;
    return list;
}

/* RFC 8305 section 4, with a first address family count of 1: the families take turns, in each the system's order stays. */
static struct qp_answer *answer_of(const struct addrinfo *list, uint16_t port)
{
    unsigned room = 0;

    while (list && !is_usable(list))
        list = list->ai_next;
    if (!list)
        return NULL;
    for (const struct addrinfo *info = list; info && room < ADDRESSES; info = info->ai_next)
        room++;
    struct qp_answer *answer = new_answer(room);
    const int family = list->ai_family;
    const struct addrinfo *turns[] = {list, next_of(list, family, true)};
    for (unsigned i = 0; (turns[0] || turns[1]) && answer->count < room; i = 1 - i) {
        if (!turns[i])
            continue;
        add(answer, turns[i]->ai_addr, port);
        turns[i] = next_of(turns[i]->ai_next, family, i == 1);
    }
    return answer;
}

/* --- life --- */

static void find_numeric(struct qp_resolver *resolver)
{
    struct qp_address address;

    if (uv_ip4_addr(resolver->host, resolver->port, &address.u.v4) != 0 &&
        uv_ip6_addr(resolver->host, resolver->port, &address.u.v6) != 0)
        return;
    resolver->is_numeric = true;
    resolver->answer = new_answer(1);
    add(resolver->answer, &address.u.any, resolver->port);
}

struct qp_resolver *qp_resolver_new(struct qp_loop *loop, struct qp_slice host, uint16_t port,
                                    uint32_t keep_ms)
{
    struct qp_resolver *resolver = qp_alloc(sizeof(*resolver));

    resolver->loop = loop;
    resolver->host = qp_strndup(host.at, host.len);
    resolver->port = port;
    resolver->keep_ms = keep_ms;
    qp_list_init(&resolver->waiting);
    find_numeric(resolver);
    return resolver;
}

void qp_resolver_free(struct qp_resolver **slot)
{
    struct qp_resolver *resolver = *slot;

    *slot = NULL;
    if (!resolver)
        return;
    qp_require(qp_list_is_empty(&resolver->waiting));
    if (resolver->question) {
        resolver->question->resolver = NULL;
        /* Refused once a thread works on it: then it ends by itself, or is left behind by qp_loop_free(). */
        uv_cancel((uv_req_t *)&resolver->question->request);
    }
    qp_answer_drop(&resolver->answer);
    qp_free(resolver->host);
    qp_free(resolver);
}

const char *qp_resolver_host(const struct qp_resolver *resolver)
{
    return resolver->host;
}

/* --- asking --- */

static bool is_answer_usable(const struct qp_resolver *resolver)
{
    return resolver->answer &&
           (resolver->is_numeric || qp_loop_now_ms(resolver->loop) - resolver->answered_ms < STALE_MS);
}

static void tell_waiting(struct qp_resolver *resolver, enum qp_result result)
{
    struct qp_list waiting;
    struct qp_answer *answer = result == QP_OK ? qp_answer_hold(resolver->answer) : NULL;
    char detail[sizeof(resolver->detail)];

    memcpy(detail, resolver->detail, sizeof(detail));
    qp_list_init(&waiting);
    qp_list_move_all(&waiting, &resolver->waiting);
    /* Any of them may cancel others, and so take them off the list; the last may free the resolver. */
    for (struct qp_list *link; (link = qp_list_shift(&waiting)) != NULL;) {
        struct qp_resolver_waiter *waiter = QP_CONTAINER_OF(link, struct qp_resolver_waiter, link);
        waiter->done(waiter, answer, result, detail);
    }
    qp_answer_drop(&answer);
}

static void note_fault(struct qp_resolver *resolver, int status)
{
    const uint64_t now_ms = qp_loop_now_ms(resolver->loop);
    const bool is_exhausted = qp_net_result(status) == QP_NET_DESCRIPTORS;

    resolver->fault = is_exhausted ? QP_NET_DESCRIPTORS : QP_NET_RESOLVE;
    snprintf(resolver->detail, sizeof(resolver->detail), "%s: %s", resolver->host,
             status != 0 ? uv_strerror(status) : "the resolver gives no address");
    if (!resolver->is_failing && is_answer_usable(resolver))
        qp_log_warn("net", "%s; its addresses of %llu s ago are used on", resolver->detail,
                    (unsigned long long)(now_ms - resolver->answered_ms) / 1000);
    resolver->is_failing = true;
    resolver->asked_ms = now_ms;
    resolver->due_ms = now_ms + RETRY_MS;
}

static void keep(struct qp_resolver *resolver, struct qp_answer *answer)
{
    const uint64_t now_ms = qp_loop_now_ms(resolver->loop);
    struct qp_answer *old = resolver->answer;

    for (unsigned i = 0; old && i < old->count; i++) {
        if (qp_answer_has(answer, &old->at[i]))
            continue;
        resolver->epoch++;
        qp_log_info("net", "%s has other addresses now", resolver->host);
        break;
    }
    if (resolver->is_failing && old)
        qp_log_info("net", "%s resolves again", resolver->host);
    qp_answer_drop(&resolver->answer);
    resolver->answer = answer;
    resolver->is_failing = false;
    resolver->answered_ms = resolver->asked_ms = now_ms;
    resolver->due_ms = now_ms + resolver->keep_ms;
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct question *question = QP_CONTAINER_OF(request, struct question, request);
    struct qp_resolver *resolver = question->resolver;

    question->loop->question_count--;
    qp_free(question);
    if (!resolver) {
        uv_freeaddrinfo(list);
        return;
    }
    resolver->question = NULL;
    struct qp_answer *answer = status == 0 ? answer_of(list, resolver->port) : NULL;
    uv_freeaddrinfo(list);
    if (answer)
        keep(resolver, answer);
    else
        note_fault(resolver, status);
    tell_waiting(resolver, answer ? QP_OK : resolver->fault);
}

static void ask(struct qp_resolver *resolver)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct question *question = qp_alloc(sizeof(*question));

    question->resolver = resolver;
    question->loop = resolver->loop;
    int error =
        uv_getaddrinfo(&resolver->loop->uv, &question->request, on_resolved, resolver->host, NULL, &hints);
    if (error == 0) {
        resolver->question = question;
        resolver->loop->question_count++;
        return;
    }
    qp_free(question);
    note_fault(resolver, error);
}

struct qp_answer *qp_resolver_peek(struct qp_resolver *resolver)
{
    if (!resolver->is_numeric && !resolver->question && qp_loop_now_ms(resolver->loop) >= resolver->due_ms)
        ask(resolver);
    return is_answer_usable(resolver) ? resolver->answer : NULL;
}

enum qp_result qp_resolver_get(struct qp_resolver *resolver, struct qp_resolver_waiter *waiter,
                               struct qp_answer **answer, const char **detail)
{
    *answer = qp_resolver_peek(resolver);
    if (*answer)
        return QP_OK;
    if (resolver->question) {
        qp_list_append(&resolver->waiting, &waiter->link);
        return QP_AGAIN;
    }
    *detail = resolver->detail;
    return resolver->fault;
}

bool qp_resolver_renew(struct qp_resolver *resolver, struct qp_resolver_waiter *waiter)
{
    if (resolver->is_numeric)
        return false;
    if (!resolver->question) {
        if (qp_loop_now_ms(resolver->loop) - resolver->asked_ms < RETRY_MS)
            return false;
        ask(resolver);
    }
    if (!resolver->question)
        return false;
    qp_list_append(&resolver->waiting, &waiter->link);
    return true;
}

void qp_resolver_cancel(struct qp_resolver_waiter *waiter)
{
    qp_list_remove(&waiter->link);
}

uint32_t qp_resolver_epoch(const struct qp_resolver *resolver)
{
    return resolver->epoch;
}
