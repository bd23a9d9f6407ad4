#include "relay/access.h"
#include "base/clock.h"
#include <time.h>

/* The part up to the second is the same for a whole second. One cache a thread. */
static void append_time(struct qp_buf *line)
{
    static _Thread_local int64_t cached_s = -1;
    static _Thread_local char text[24];
    int64_t now_ms = qp_clock_unix_ms();
    if (now_ms / 1000 != cached_s) {
        time_t seconds = (time_t)(now_ms / 1000);
        struct tm parts;
        gmtime_r(&seconds, &parts);
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
        cached_s = now_ms / 1000;
    }
    unsigned ms = (unsigned)(now_ms % 1000);
    char tail[] = {'.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), 'Z'};
    qp_buf_append_str(line, text);
    qp_buf_append(line, qp_slice(tail, sizeof tail));
}

/* Items of a line, in order. `text` stands before the value in the text form, `json` in the JSON form; quoted values are closed by the next
 * item's words. */
struct item {
    const char *text;
    const char *json;
};

static void number(struct qp_buf *line, bool json, struct item item, uint64_t value)
{
    qp_buf_append_str(line, json ? item.json : item.text);
    qp_buf_append_u64(line, value);
}

static void word(struct qp_buf *line, bool json, struct item item, struct qp_slice value)
{
    qp_buf_append_str(line, json ? item.json : item.text);
    qp_buf_append_json(line, value);
}

void qp_access_line(const struct qp_access *access, bool json, struct qp_buf *line)
{
    struct qp_slice path = access->target;
    path = path.at ? qp_slice_cut(&path, '?') : path;
    char end[] = {access->ended_by, access->ended_in};
    qp_buf_append_str(line, json ? "{\"time\":\"" : "");
    append_time(line);
    number(line, json, (struct item){" access c", "\",\"conn\":"}, access->conn);
    number(line, json, (struct item){" r", ",\"request\":"}, access->request);
    word(line, json, (struct item){" ", ",\"client\":\""}, access->client);
    word(line, json, (struct item){" \"", "\",\"method\":\""}, access->method);
    word(line, json, (struct item){" ", "\",\"path\":\""}, path);
    number(line, json, (struct item){"\" ", "\",\"status\":"}, access->status);
    word(line, json, (struct item){" account=", ",\"account\":\""},
         qp_slice_str(access->account ? access->account : "-"));
    number(line, json, (struct item){" in=", "\",\"in\":"}, access->received_bytes);
    number(line, json, (struct item){" out=", ",\"out\":"}, access->sent_bytes);
    number(line, json, (struct item){" us=", ",\"us\":"}, access->duration_us);
    number(line, json, (struct item){" attempts=", ",\"attempts\":"}, access->attempts);
    number(line, json, (struct item){" replays=", ",\"replays\":"}, access->replays);
    word(line, json, (struct item){" end=", ",\"end\":\""}, qp_slice(end, sizeof end));
    word(line, json, (struct item){" error=", "\",\"error\":\""},
         qp_slice_str(access->error ? access->error : "-"));
    qp_buf_append_str(line, json ? "\"}\n" : "\n");
}
