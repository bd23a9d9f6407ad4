/* stream_tls.c - a TLS session between a stream's socket and its owner.
 *
 *   socket -> loop's read buffer -> feed -> mbedtls_ssl_read -> loop's plain buffer -> owner
 *   owner -> joining block or own memory -> mbedtls_ssl_write -> loop's cipher buffer -> socket
 *
 * mbedTLS asks the feed for as many bytes as it needs and gives each finished record to the cipher buffer, which takes it always; so
 * nothing here ever has to repeat a write. What came while the owner pauses is kept as cipher bytes, at most one read buffer.
 */
#include "net/stream_impl.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/secret.h"
#include "net/tls_impl.h"

enum { STALL_LIMIT = 8 }; /* answers without progress: a peer must not make us spin */

struct qp_tls_session {
    mbedtls_ssl_context ssl;
    struct qp_tls *tls;
    struct qp_stream *stream;
    struct qp_slice feed; /* cipher bytes that mbedTLS has not asked for yet */
    char *stash;          /* cipher bytes kept over a pause */
    size_t stash_len;
    void (*ready_event)(void *owner);
    int answer;            /* the fatal one */
    uint32_t verify_flags; /* collected over the chain */
    bool starved;          /* mbedTLS has asked and there was nothing */
    bool ready;            /* handshake done */
    bool held;             /* the owner paused: bytes may lie here */
    bool in_record;        /* mbedTLS has the beginning of a record, and waits for the rest */
    bool verified;         /* client: a chain was verified, so nothing was resumed */
    bool ticket_taken;     /* server: one of our tickets was accepted */
    char detail[96];
};

static int on_send(void *context, const unsigned char *bytes, size_t len)
{
    struct qp_tls_session *session = context;
    struct qp_loop *loop = qp_stream_loop(session->stream);

    if (len > sizeof(loop->cipher_bytes) - loop->cipher_len)
        qp_stream_tls_push(session->stream);
    if (qp_broken(len > sizeof(loop->cipher_bytes)))
        return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    memcpy(loop->cipher_bytes + loop->cipher_len, bytes, len);
    loop->cipher_len += len;
    return (int)len;
}

static int on_recv(void *context, unsigned char *to, size_t len)
{
    struct qp_tls_session *session = context;
    size_t part = len < session->feed.len ? len : session->feed.len;

    if (part == 0) {
        session->starved = true;
        return MBEDTLS_ERR_SSL_WANT_READ;
    }
    memcpy(to, session->feed.at, part);
    session->feed = qp_slice(session->feed.at + part, session->feed.len - part);
    return (int)part;
}

/* mbedTLS gives the prototype. NOLINTNEXTLINE(readability-non-const-parameter) */
static int on_verify(void *context, mbedtls_x509_crt *cert, int depth, uint32_t *flags)
{
    struct qp_tls_session *session = context;

    (void)cert;
    (void)depth;
    session->verified = true;
    session->verify_flags |= *flags;
    return 0;
}

void qp_stream_tls_push(struct qp_stream *stream)
{
    struct qp_loop *loop = qp_stream_loop(stream);
    uv_buf_t buf = uv_buf_init(loop->cipher_bytes, (unsigned)loop->cipher_len);

    if (loop->cipher_len == 0)
        return;
    loop->cipher_len = 0;
    size_t taken = qp_stream_try_raw(stream, &buf, 1);
    qp_stream_queue_raw(stream, qp_slice(buf.base + taken, buf.len - taken));
}

/* What mbedTLS itself has against the certificate, beside what on_verify() was told. */
static uint32_t verify_result(const mbedtls_ssl_context *ssl)
{
    uint32_t flags = mbedtls_ssl_get_verify_result(ssl);

    return flags == UINT32_MAX ? 0 : flags; /* there is no certificate yet */
}

static void fail(struct qp_stream *stream, int answer)
{
    struct qp_tls_session *session = stream->tls;
    uint32_t flags = session->verify_flags | verify_result(&session->ssl);
    /* A certificate for another use is a "bad certificate" and not a failed verification to mbedTLS; its flags tell. */
    bool verify = answer == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED ||
                  (answer == MBEDTLS_ERR_SSL_BAD_CERTIFICATE && flags != 0);

    session->answer = answer;
    if (answer == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE)
        qp_tls_explain_alert(session->ssl.MBEDTLS_PRIVATE(in_msg)[1], session->detail,
                             sizeof(session->detail));
    else
        qp_tls_explain(verify ? MBEDTLS_ERR_X509_CERT_VERIFY_FAILED : answer, flags, session->detail,
                       sizeof(session->detail));
    qp_log_debug("net", "tls: %s", session->detail);
    qp_stream_tls_push(stream); /* the alert that mbedTLS has written */
    if (!session->ready && session->tls->host)
        qp_tls_forget_last12(session->tls);
    qp_stream_fail(stream, verify ? QP_NET_TLS_VERIFY : QP_NET_TLS);
}

/* What an answer that brought no bytes asks for: true to call mbedTLS again, false when *answer says why not. */
static bool go_on(struct qp_tls_session *session, int *answer, size_t feed_before, unsigned *stalls)
{
    switch (qp_tls_classify(*answer)) {
    case QP_TLS_AGAIN:
        /* Not "input used up": a session ticket answers so too, with data behind it. */
        if (session->starved)
            return false;
        break;
    case QP_TLS_NOTICE:
        qp_tls_keep_session(session->tls, &session->ssl);
        break;
    case QP_TLS_CLOSED:
    case QP_TLS_FATAL:
        return false;
    }
    *stalls = session->feed.len == feed_before ? *stalls + 1 : 0;
    if (*stalls <= STALL_LIMIT)
        return true;
    *answer = MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    return false;
}

static void handshake_done(struct qp_stream *stream)
{
    struct qp_tls_session *session = stream->tls;
    struct qp_tls *tls = session->tls;
    bool resumed = tls->host ? !session->verified : session->ticket_taken;

    session->ready = true;
    if (resumed)
        qp_count(&tls->counters.resumed_handshakes);
    else
        qp_count(&tls->counters.full_handshakes);
    /* TLS 1.3 sessions come as tickets, later. */
    if (mbedtls_ssl_get_version_number(&session->ssl) == MBEDTLS_SSL_VERSION_TLS1_2)
        qp_tls_keep_session(tls, &session->ssl);
    if (stream->join) {
        stream->dirty = true;
        qp_stream_alert(stream);
    }
    if (session->ready_event && !stream->closing)
        session->ready_event(stream->owner);
}

static void handshake(struct qp_stream *stream)
{
    struct qp_tls_session *session = stream->tls;
    unsigned stalls = 0;
    size_t before;
    int answer;

    do {
        before = session->feed.len;
        session->tls->ticket_taken = false;
        answer = mbedtls_ssl_handshake(&session->ssl);
        session->ticket_taken |= session->tls->ticket_taken;
    } while (answer != 0 && go_on(session, &answer, before, &stalls));
    if (answer == 0) {
        qp_stream_tls_push(stream);
        handshake_done(stream);
    } else if (qp_tls_classify(answer) == QP_TLS_AGAIN) {
        qp_stream_tls_push(stream);
    } else {
        fail(stream, answer);
    }
}

/* Decrypts until the buffer is full (gives 1) or an answer without bytes ends it (gives that). */
static int fill(struct qp_tls_session *session, char *plain, size_t size, size_t *used)
{
    unsigned stalls = 0;

    for (;;) {
        size_t before = session->feed.len;
        int answer = mbedtls_ssl_read(&session->ssl, (unsigned char *)plain + *used, size - *used);
        if (session->feed.len < before)
            session->in_record = answer <= 0 && session->starved;
        if (answer > 0) {
            *used += (size_t)answer;
            if (*used == size)
                return 1;
        } else if (!go_on(session, &answer, before, &stalls)) {
            return answer;
        }
    }
}

static void hold(struct qp_stream *stream)
{
    struct qp_tls_session *session = stream->tls;

    session->held = true;
    if (session->feed.len == 0)
        return;
    session->stash = qp_try_alloc(session->feed.len);
    if (!session->stash) {
        qp_stream_fail(stream, QP_SELF_MEMORY);
        return;
    }
    memcpy(session->stash, session->feed.at, session->feed.len);
    session->stash_len = session->feed.len;
}

/* Turns the feed into events. The owner may close, pause or linger in any of them. */
static void pump(struct qp_stream *stream)
{
    struct qp_loop *loop = qp_stream_loop(stream);
    struct qp_tls_session *session = stream->tls;

    session->starved = false;
    if (!session->ready) {
        handshake(stream);
        if (stream->closing || !session->ready)
            return;
    }
    while (!stream->paused && !stream->discarding) {
        size_t used = 0;
        int answer = fill(session, loop->plain_bytes, sizeof(loop->plain_bytes), &used);
        /* An alert that it made: the next stream's records must not find it there. */
        qp_stream_tls_push(stream);
        if (used > 0)
            qp_stream_deliver(stream, qp_slice(loop->plain_bytes, used));
        qp_wipe(loop->plain_bytes, used); /* it may have been the token endpoint's answer */
        if (stream->closing)
            return;
        if (answer > 0)
            continue;
        if (qp_tls_classify(answer) == QP_TLS_CLOSED)
            qp_stream_deliver_end(stream);
        else if (qp_tls_classify(answer) == QP_TLS_FATAL)
            fail(stream, answer);
        return;
    }
    if (!stream->discarding)
        hold(stream);
}

void qp_stream_tls_feed(struct qp_stream *stream, struct qp_slice cipher)
{
    if (stream->ended)
        return;
    stream->tls->feed = cipher;
    pump(stream);
    if (!stream->closing) {
        stream->tls->feed = QP_SLICE_NONE;
        qp_stream_tls_push(stream);
    }
}

void qp_stream_tls_resume(struct qp_stream *stream)
{
    struct qp_tls_session *session = stream->tls;
    char *stash = session->stash;

    if (!session->held || stream->paused || stream->fault != QP_OK)
        return;
    session->held = false;
    const size_t len = session->stash_len;
    session->stash = NULL;
    session->stash_len = 0;
    qp_stream_tls_feed(stream, qp_slice(stash, len));
    qp_free(stash);
    if (!stream->closing)
        qp_stream_update_reading(stream);
}

bool qp_stream_tls_holds_back(const struct qp_stream *stream)
{
    return stream->tls->held;
}

bool qp_stream_tls_holds_input(const struct qp_stream *stream)
{
    const struct qp_tls_session *session = stream->tls;

    return session->in_record || session->stash_len > 0 || mbedtls_ssl_check_pending(&session->ssl) != 0;
}

bool qp_stream_tls_is_ready(const struct qp_stream *stream)
{
    return stream->tls->ready;
}

void qp_stream_tls_write(struct qp_stream *stream, struct qp_slice plain)
{
    struct qp_tls_session *session = stream->tls;
    unsigned stalls = 0;

    while (plain.len > 0 && stream->fault == QP_OK) {
        int answer = mbedtls_ssl_write(&session->ssl, (const unsigned char *)plain.at, plain.len);
        if (answer > 0) {
            plain = qp_slice(plain.at + answer, plain.len - (size_t)answer);
            continue;
        }
        if (!go_on(session, &answer, session->feed.len, &stalls)) {
            fail(stream, answer);
            return;
        }
    }
    qp_stream_tls_push(stream);
}

void qp_stream_tls_close_notify(struct qp_stream *stream)
{
    if (!stream->tls->ready || stream->fault != QP_OK)
        return;
    /* The answer is of no use: the connection ends anyway. */
    if (mbedtls_ssl_close_notify(&stream->tls->ssl) != 0)
        qp_log_debug("net", "tls: close_notify was not written");
    qp_stream_tls_push(stream);
}

static int set_up(struct qp_tls_session *session)
{
    struct qp_tls *tls = session->tls;
    int answer = mbedtls_ssl_setup(&session->ssl, &tls->conf);

    if (answer != 0)
        return answer;
    mbedtls_ssl_set_bio(&session->ssl, session, on_send, on_recv, NULL);
    if (!tls->host)
        return 0;
    mbedtls_ssl_set_verify(&session->ssl, on_verify, session);
    answer = mbedtls_ssl_set_hostname(&session->ssl, tls->host);
    if (answer == 0)
        qp_tls_offer_session(tls, &session->ssl);
    return answer;
}

void qp_stream_start_tls(struct qp_stream *stream, struct qp_tls *tls, void (*ready)(void *owner))
{
    struct qp_tls_session *session = qp_alloc(sizeof(*session));

    qp_require(!stream->tls && !stream->join && tls->loop == qp_stream_loop(stream));
    tls->stream_count++;
    session->tls = tls;
    session->stream = stream;
    session->ready_event = ready;
    mbedtls_ssl_init(&session->ssl);
    stream->tls = session;
    if (set_up(session) != 0) {
        qp_stream_fail(stream, QP_SELF_MEMORY);
        return;
    }
    if (tls->host)
        handshake(stream); /* nothing to read yet, so it ends with our first message */
    qp_stream_update_reading(stream);
}

void qp_stream_serve_tls(struct qp_stream *stream, struct qp_tls *tls)
{
    qp_stream_start_tls(stream, tls, NULL);
}

void qp_stream_tls_free(struct qp_stream *stream)
{
    struct qp_tls_session *session = stream->tls;

    if (!session->ready && stream->fault != QP_OK)
        qp_count(&session->tls->counters.failed_handshakes);
    stream->tls = NULL;
    mbedtls_ssl_free(&session->ssl);
    session->tls->stream_count--;
    qp_tls_drop(session->tls);
    qp_free(session->stash);
    qp_free(session);
}

const char *qp_stream_tls_detail(const struct qp_stream *stream)
{
    return stream->tls ? stream->tls->detail : "";
}
