/* list.h - an intrusive circular doubly linked list. Not thread-safe; the owner's thread only.
 *
 * A head and a detached link point to themselves, so that removing twice is harmless and membership can be asked.
 */
#ifndef QP_BASE_LIST_H
#define QP_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct qp_list {
    struct qp_list *next;
    struct qp_list *prev;
};

#define QP_CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* NOLINTBEGIN(bugprone-macro-parentheses): `position` is a name that is declared, which takes none. */
#define QP_LIST_FOR_EACH(position, head) \
    for (struct qp_list *position = (head)->next; position != (head); position = position->next)

/* The current link may be removed (and freed) by the body; no other may. */
#define QP_LIST_FOR_EACH_SAFE(position, head)                                                            \
    for (struct qp_list *position = (head)->next, *position##_next = position->next; position != (head); \
         position = position##_next, position##_next = position->next)
/* NOLINTEND(bugprone-macro-parentheses) */

static inline void qp_list_init(struct qp_list *link)
{
    link->next = link->prev = link;
}
static inline bool qp_list_is_empty(const struct qp_list *head)
{
    return head->next == head;
}
static inline bool qp_list_is_linked(const struct qp_list *link)
{
    return link->next != link;
}

static inline void qp_list_insert_between(struct qp_list *link, struct qp_list *prev, struct qp_list *next)
{
    link->prev = prev;
    link->next = next;
    prev->next = link;
    next->prev = link;
}
static inline void qp_list_append(struct qp_list *head, struct qp_list *link)
{
    qp_list_insert_between(link, head->prev, head);
}
static inline void qp_list_prepend(struct qp_list *head, struct qp_list *link)
{
    qp_list_insert_between(link, head, head->next);
}
static inline void qp_list_remove(struct qp_list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    qp_list_init(link);
}

/* Moves all members of `from` to the empty, initialised `to`: a list is moved aside before its members are called. */
static inline void qp_list_move_all(struct qp_list *to, struct qp_list *from)
{
    if (qp_list_is_empty(from))
        return;
    *to = *from;
    to->next->prev = to;
    to->prev->next = to;
    qp_list_init(from);
}

/* The first member, taken out; NULL when empty. */
static inline struct qp_list *qp_list_shift(struct qp_list *head)
{
    struct qp_list *link = head->next;
    if (link == head)
        return NULL;
    qp_list_remove(link);
    return link;
}

#endif
