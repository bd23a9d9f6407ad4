/* endpoint.h - a token endpoint that follows a script, on a thread and a loopback port of its own.
 *
 * Plain blocking sockets: nothing of qproxy's stands on both sides of the test.
 */
#ifndef QP_TEST_ENDPOINT_H
#define QP_TEST_ENDPOINT_H

#include <stdbool.h>

/* One call's answer; the last one is given to all later calls. */
struct endpoint_step {
    const char *answer; /* all its bytes; NULL: none ever, the connection stays open */
    unsigned delay_ms;
    unsigned padding; /* so many 'x' behind the answer */
};

/* "HTTP/1.1 status\r\nfields\r\nContent-Length..." around a JSON body. Lives until the next endpoint_start(). */
const char *endpoint_answer(const char *status_and_fields, const char *body);

struct endpoint;
struct endpoint *endpoint_start(const struct endpoint_step *steps, unsigned count);
void endpoint_stop(struct endpoint *endpoint);
unsigned endpoint_port(const struct endpoint *endpoint);
unsigned endpoint_calls(struct endpoint *endpoint);
/* Head and body of the call with that number, from 0. */
const char *endpoint_request(struct endpoint *endpoint, unsigned call);

#endif
