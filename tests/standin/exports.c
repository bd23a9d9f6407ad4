/* exports.c - response exports (today's and the legacy flow) and imports: started, polled, fetched. */
#include "answers.h"
#include <cJSON.h>
#include <stdio.h>

static struct si_work start(struct si_call *call, enum si_work_kind kind, const char *prefix, bool compress)
{
    struct si_world *world = call->world;
    struct si_work work = {.kind = kind, .compress = compress};
    char uuid[SI_UUID_BYTES];
    si_lock(world);
    work.polls_left = (uint64_t)world->knobs.export_polls;
    work.bytes = (uint64_t)world->knobs.export_bytes;
    si_next_name(world, prefix, work.id, sizeof(work.id));
    si_next_uuid(world, uuid);
    snprintf(work.file_id, sizeof(work.file_id), "%s%s", uuid, kind == SI_WORK_EXPORT ? "-def" : "");
    world->work[world->works++ % SI_WORKS] = work;
    si_unlock(world);
    return work;
}

/* A copy of the work with that id, or with that file id; `poll`: takes one from the polls that it still needs. Answers 404 itself. */
static bool find(struct si_call *call, enum si_work_kind kind, struct qp_slice id, bool poll,
                 struct si_work *found)
{
    struct si_world *world = call->world;
    bool there = false;
    si_lock(world);
    for (size_t i = 0; i < SI_WORKS && !there; i++) {
        struct si_work *work = &world->work[i];
        if (work->kind != kind || !work->id[0])
            continue;
        if (!qp_slice_is(id, qp_slice_str(work->id)) && !qp_slice_is(id, qp_slice_str(work->file_id)))
            continue;
        *found = *work;
        if (poll && work->polls_left > 0)
            work->polls_left--;
        there = true;
    }
    si_unlock(world);
    if (!there)
        si_reply_error(call, 404, "STANDIN_404", "No such job.");
    return there;
}

/* {"format":...} is wanted; gives whether `compress` stands. Answers 400 itself. */
static bool export_wishes(struct si_call *call, const char *wanted, bool *compress)
{
    struct qp_slice body = qp_buf_slice(&call->body);
    cJSON *root = cJSON_ParseWithLength(body.at ? body.at : "", body.len);
    bool good = cJSON_IsString(cJSON_GetObjectItemCaseSensitive(root, wanted));
    *compress = !cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(root, "compress"));
    cJSON_Delete(root);
    if (!good) {
        char message[64];
        snprintf(message, sizeof(message), "%s: a value is required.", wanted);
        si_reply_error(call, 400, "QVAL_1", message);
    }
    return good;
}

static double percent(struct si_call *call, const struct si_work *work)
{
    double all = (double)call->knobs.export_polls + 1;
    double left = (double)work->polls_left;
    return left >= all ? 0 : 100.0 * (all - left) / all;
}

static void reply_file(struct si_call *call, const struct si_work *work)
{
    si_head_line(call, "Content-Disposition",
                 work->compress ? "attachment; filename=My+Survey.zip"
                                : "attachment; filename=My+Survey.csv");
    si_feed_init(&call->feed, work->compress ? SI_ZIP : SI_CSV, call->world->opts.seed, work->bytes,
                 call->gzip, false);
    bool hash = si_param_u64(call, "hash", work->bytes <= SI_HASHED_UNASKED) != 0;
    si_reply_feed(call, work->compress ? "application/zip" : "text/csv", hash);
}

/* ---- today's flow ---- */

void si_export_start(struct si_call *call)
{
    bool compress;
    if (!export_wishes(call, "format", &compress))
        return;
    struct si_work work = start(call, SI_WORK_EXPORT, "ES_", compress);
    si_result_begin(call);
    qp_buf_append_fmt(&call->out, "{\"progressId\":\"%s\",\"percentComplete\":0.0,\"status\":\"inProgress\"}",
                      work.id);
    si_reply_result(call);
}

void si_export_poll(struct si_call *call)
{
    struct si_work work;
    if (!find(call, SI_WORK_EXPORT, call->segment[5], true, &work))
        return;
    si_result_begin(call);
    if (work.polls_left > 0)
        qp_buf_append_fmt(&call->out, "{\"percentComplete\":%.1f,\"status\":\"inProgress\"}",
                          percent(call, &work));
    else
        qp_buf_append_fmt(&call->out, "{\"fileId\":\"%s\",\"percentComplete\":100.0,\"status\":\"complete\"}",
                          work.file_id);
    si_reply_result(call);
}

void si_export_file(struct si_call *call)
{
    struct si_work work;
    if (find(call, SI_WORK_EXPORT, call->segment[5], false, &work))
        reply_file(call, &work);
}

/* ---- the legacy flow, whose poll answers with an absolute URL ---- */

void si_legacy_start(struct si_call *call)
{
    bool compress;
    if (!export_wishes(call, "surveyId", &compress))
        return;
    struct si_work work = start(call, SI_WORK_LEGACY, "ES_", true);
    si_result_begin(call);
    qp_buf_append_fmt(&call->out, "{\"id\":\"%s\"}", work.id);
    si_reply_result(call);
}

void si_legacy_poll(struct si_call *call)
{
    struct si_work work;
    if (!find(call, SI_WORK_LEGACY, call->segment[3], true, &work))
        return;
    si_result_begin(call);
    if (work.polls_left > 0) {
        qp_buf_append_fmt(&call->out, "{\"percentComplete\":%.1f,\"status\":\"in progress\",\"file\":null}",
                          percent(call, &work));
    } else {
        qp_buf_append_str(&call->out, "{\"percentComplete\":100.0,\"file\":");
        si_link_begin(call);
        qp_buf_append_fmt(&call->out, "responseexports/%s/file\",\"status\":\"complete\"}", work.id);
    }
    si_reply_result(call);
}

void si_legacy_file(struct si_call *call)
{
    struct si_work work;
    if (find(call, SI_WORK_LEGACY, call->segment[3], false, &work))
        reply_file(call, &work);
}

/* ---- imports ---- */

void si_import_start(struct si_call *call)
{
    struct si_work work = start(call, SI_WORK_IMPORT, "IS_", false);
    si_result_begin(call);
    qp_buf_append_fmt(
        &call->out,
        "{\"progressId\":\"%s\",\"percentComplete\":0.0,\"status\":\"inProgress\",\"receivedBytes\":%llu}",
        work.id, (unsigned long long)call->body_bytes);
    si_reply_result(call);
}

void si_import_poll(struct si_call *call)
{
    struct si_work work;
    if (!find(call, SI_WORK_IMPORT, call->segment[5], true, &work))
        return;
    si_result_begin(call);
    qp_buf_append_fmt(&call->out, "{\"progressId\":\"%s\",\"percentComplete\":%.1f,\"status\":\"%s\"}",
                      work.id, percent(call, &work), work.polls_left > 0 ? "inProgress" : "complete");
    si_reply_result(call);
}
