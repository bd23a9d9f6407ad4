/* scarcity.c - what a server does while memory is short (base/alloc.h): it takes nothing new on and gives back what it keeps for later, and looks again
 * in short intervals, since others may have given back enough without anything happening here. */
#include "server/session.h"

#include "base/alloc.h"
#include "net/loop.h"

enum { LOOK_AGAIN_MS = 100 };

static void give_back(struct qp_server *server)
{
    for (struct qp_list *link; (link = qp_list_shift(&server->warm)) != NULL;)
        qp_request_free(QP_CONTAINER_OF(link, struct qp_request, link));
    server->warm_count = 0;
    qp_loop_give_back(server->loop);
    if (server->handler->scarce)
        server->handler->scarce(server->handler_context);
    qp_timer_arm(server->loop, &server->shortage, LOOK_AGAIN_MS);
}

bool qp_server_is_short(struct qp_server *server)
{
    if (!server->opts.sheds || !qp_alloc_is_short())
        return false;
    if (!server->is_short) {
        qp_server_hold(server, server->is_full, true);
        give_back(server);
    }
    return true;
}

void qp_server_look_at_shortage(struct qp_timer *timer)
{
    struct qp_server *server = QP_CONTAINER_OF(timer, struct qp_server, shortage);

    if (qp_alloc_is_short())
        give_back(server);
    else
        qp_server_hold(server, server->is_full, false);
}
