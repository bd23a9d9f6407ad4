/* endpoint.h - a token endpoint that follows a script, and whoami and the revocation endpoint beside it, on a thread and a loopback port of their own.
 *
 * Plain blocking sockets: nothing of qproxy's stands on both sides of the test.
 */
#ifndef QP_TEST_ENDPOINT_H
#define QP_TEST_ENDPOINT_H

#include <stdbool.h>

enum endpoint_lane { LANE_TOKEN, LANE_WHOAMI, LANE_REVOKE, LANES };

/* One call's answer; the last one of a lane is given to all later calls there, and 404 where the script has none. */
struct endpoint_step {
    const char *answer; /* all its bytes; NULL: none ever, the connection stays open */
    unsigned delay_ms;
    unsigned padding; /* so many 'x' behind the answer */
    enum endpoint_lane lane;
    bool is_held;  /* no answer before endpoint_release() */
    bool is_slow;  /* a byte at a time */
    bool is_reset; /* what is given ends with a reset */
};

/* "HTTP/1.1 status\r\nfields\r\nContent-Length..." around a JSON body. Lives until the next endpoint_stop(). */
const char *endpoint_answer(const char *status_and_fields, const char *body);

struct endpoint;
/* Copies the steps; what they point to must live as long. */
struct endpoint *endpoint_start(const struct endpoint_step *steps, unsigned count);
void endpoint_stop(struct endpoint *endpoint);
unsigned endpoint_port(const struct endpoint *endpoint);
/* "/oauth2/token" and so on. */
const char *endpoint_path(enum endpoint_lane lane);
/* From now on `seen` is called on the endpoint's thread with each request, before it is counted and answered; call: from 0, by lane. */
void endpoint_watch(struct endpoint *endpoint,
                    void (*seen)(void *context, enum endpoint_lane lane, unsigned call, const char *request),
                    void *context);
/* Gives the answers that are held. */
void endpoint_release(struct endpoint *endpoint);

/* Of the token endpoint. */
unsigned endpoint_calls(struct endpoint *endpoint);
/* Head and body of the call with that number, from 0. */
const char *endpoint_request(struct endpoint *endpoint, unsigned call);
unsigned endpoint_calls_at(struct endpoint *endpoint, enum endpoint_lane lane);
const char *endpoint_request_at(struct endpoint *endpoint, enum endpoint_lane lane, unsigned call);
/* How many of the token endpoint's requests hold the text. */
unsigned endpoint_count(struct endpoint *endpoint, const char *text);

#endif
