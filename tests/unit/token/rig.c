#include "rig.h"
#include "http/form.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOOK_MS = 4 };

static void look(struct qp_timer *timer)
{
    struct rig *rig = QP_CONTAINER_OF(timer, struct rig, look);
    rig->came = rig->until && rig->until(rig);
    if (rig->came || qp_loop_now_ms(rig->loop) >= rig->limit_ms)
        qp_loop_stop(rig->loop);
    else
        qp_timer_arm(rig->loop, timer, LOOK_MS);
}

static void run(struct rig *rig, bool (*until)(struct rig *rig), uint64_t limit_ms)
{
    rig->until = until;
    rig->came = false;
    rig->limit_ms = qp_loop_now_ms(rig->loop) + limit_ms;
    qp_timer_arm(rig->loop, &rig->look, LOOK_MS);
    qp_loop_run(rig->loop);
}

void rig_run_until(struct rig *rig, bool (*until)(struct rig *rig), uint64_t limit_ms)
{
    run(rig, until, limit_ms);
    assert_true(rig->came);
}

void rig_run_for(struct rig *rig, uint64_t ms)
{
    run(rig, NULL, ms);
}

static struct qp_secret *secret_of(const char *text)
{
    return text ? qp_secret_new(qp_slice_str(text)) : NULL;
}

static void open_at(struct rig *rig, const char *refresh_token, struct endpoint *endpoint, unsigned port)
{
    *rig = (struct rig){.opts.allow_plain_http = true, .secrets = qp_secret_live_count()};
    rig->endpoint = endpoint;
    snprintf(rig->origin, sizeof(rig->origin), "http://127.0.0.1:%u", port);
    snprintf(rig->url, sizeof(rig->url), "%s%s", rig->origin, endpoint_path(LANE_TOKEN));
    snprintf(rig->revoke_url, sizeof(rig->revoke_url), "%s%s", rig->origin, endpoint_path(LANE_REVOKE));
    rig->client_secret = secret_of("hush");
    rig->refresh_token = secret_of(refresh_token);
    rig->account = (struct qp_account_opts){
        .name = "main",
        .grant = refresh_token ? QP_GRANT_REFRESH_TOKEN : QP_GRANT_CLIENT_CREDENTIALS,
        .client_id = "id",
        .client_secret = rig->client_secret,
        .refresh_token = rig->refresh_token,
        .token_url = rig->url,
        .origin = rig->origin,
        .origin_connect_ms = 2000,
        .token_call_ms = 2000,
    };
    rig->loop = qp_loop_new();
    qp_timer_init(&rig->look, look);
}

void rig_open(struct rig *rig, const char *refresh_token, const struct endpoint_step *steps, unsigned count)
{
    struct endpoint *endpoint = count ? endpoint_start(steps, count) : NULL;
    open_at(rig, refresh_token, endpoint, endpoint ? endpoint_port(endpoint) : 1);
}

void rig_sign_in_instead(struct rig *rig)
{
    rig->account.grant = QP_GRANT_AUTHORIZATION_CODE;
    rig->account.client_secret = NULL;
    rig->account.scope = "manage:all";
    rig->account.offline_scope = "offline";
    rig->account.auth_url = "https://login.example/oauth2/auth";
    rig->account.issuer = "https://login.example";
    rig->account.redirect_uri = "http://127.0.0.1:8081/oauth/callback";
}

void rig_open_sign_in(struct rig *rig, const struct endpoint_step *steps, unsigned count)
{
    rig_open(rig, NULL, steps, count);
    rig_sign_in_instead(rig);
}

/* ---- the vault ---- */

static const char key_text[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

static void use_folder(struct rig *rig)
{
    snprintf(rig->vault_path, sizeof(rig->vault_path), "%s/vault", rig->folder);
    rig->vault_key = secret_of(key_text);
}

void rig_use_vault(struct rig *rig)
{
    snprintf(rig->folder, sizeof(rig->folder), "/tmp/qp_token_test_XXXXXX");
    assert_non_null(mkdtemp(rig->folder));
    use_folder(rig);
}

void rig_open_with_vault(struct rig *rig, const char *refresh_token, const struct endpoint_step *steps,
                         unsigned count)
{
    rig_open(rig, refresh_token, steps, count);
    rig_use_vault(rig);
}

void rig_open_beside(struct rig *rig, const char *refresh_token, unsigned port, const char *folder)
{
    open_at(rig, refresh_token, NULL, port);
    rig->is_beside = true;
    snprintf(rig->folder, sizeof(rig->folder), "%s", folder);
    use_folder(rig);
}

static struct qp_vault *open_vault(const struct rig *rig, const char *path, bool create)
{
    struct qp_vault *vault = NULL;
    char error[400] = "";
    if (qp_vault_open(&(struct qp_vault_opts){.path = path, .key.text = rig->vault_key, .create = create},
                      &vault, error, sizeof(error)) != QP_VAULT_OPEN)
        fail_msg("%s", error);
    return vault;
}

static void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    assert_int_equal(chmod(folder, 0700), 0);
    for (struct dirent *entry; (entry = readdir(dir));)
        (void)unlinkat(dirfd(dir), entry->d_name, 0); /* not "." and ".." */
    closedir(dir);
    assert_int_equal(rmdir(folder), 0);
}

static FILE *open_file(const struct rig *rig, const char *name, const char *mode)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", rig->folder, name);
    FILE *file = fopen(path, mode);
    assert_true(file && chmod(path, 0600) == 0);
    return file;
}

void rig_copy_vault(const struct rig *rig, const char *from, const char *to)
{
    char bytes[16 * 1024];
    FILE *in = open_file(rig, from, "rb");
    size_t len = fread(bytes, 1, sizeof(bytes), in);
    assert_true(len > 0 && len < sizeof(bytes));
    fclose(in);
    FILE *out = open_file(rig, to, "wb");
    assert_int_equal(fwrite(bytes, 1, len, out), len);
    assert_int_equal(fclose(out), 0);
}

static void put_secret(const struct qp_secret *secret, char *out, size_t size)
{
    if (secret)
        snprintf(out, size, "%.*s", QP_SLICE_FMT(qp_secret_reveal(secret)));
}

struct kept rig_kept(const struct rig *rig, const char *name)
{
    char path[128];
    rig_copy_vault(rig, name, "copy");
    snprintf(path, sizeof(path), "%s/copy", rig->folder);
    struct qp_vault *vault = open_vault(rig, path, false);
    const struct qp_vault_record *record = qp_vault_record(vault, rig->account.name);
    struct kept kept = {.redeeming = record->redeeming, .signed_in_unix_s = record->signed_in_unix_s};
    put_secret(record->refresh_token, kept.refresh_token, sizeof(kept.refresh_token));
    put_secret(record->access_token, kept.access_token, sizeof(kept.access_token));
    snprintf(kept.user, sizeof(kept.user), "%.63s", record->identity.user);
    qp_vault_close(&vault);
    return kept;
}

void rig_assert_kept(const struct rig *rig, const char *name, const char *refresh_token,
                     const char *access_token, bool redeeming)
{
    struct kept kept = rig_kept(rig, name);
    assert_string_equal(kept.refresh_token, refresh_token);
    assert_string_equal(kept.access_token, access_token);
    assert_int_equal(kept.redeeming, redeeming);
}

/* ---- from start to end ---- */

void rig_start(struct rig *rig)
{
    if (rig->folder[0])
        rig->vault = open_vault(rig, rig->vault_path, true);
    rig->opts.accounts = &rig->account;
    rig->opts.account_count = 1;
    rig->opts.vault = rig->vault;
    rig->keeper = qp_keeper_new(rig->loop, &rig->opts);
    rig->view = qp_view_new(rig->loop, rig->keeper,
                            &(struct qp_view_opts){.account_count = 1, .token_wait_ms = 3000, .waiting = 8});
    qp_keeper_add_view(rig->keeper, rig->view);
    qp_keeper_start(rig->keeper);
}

void rig_stop(struct rig *rig)
{
    qp_view_close(&rig->view);
    qp_keeper_close(&rig->keeper);
    qp_vault_close(&rig->vault);
}

void rig_restart(struct rig *rig)
{
    rig_stop(rig);
    rig_start(rig);
}

void rig_close(struct rig *rig)
{
    if (rig->keeper)
        rig_stop(rig);
    qp_timer_deinit(&rig->look);
    qp_loop_free(&rig->loop);
    qp_secret_free(&rig->client_secret);
    qp_secret_free(&rig->refresh_token);
    qp_secret_free(&rig->vault_key);
    if (rig->folder[0] && !rig->is_beside)
        remove_folder(rig->folder);
    if (rig->endpoint)
        endpoint_stop(rig->endpoint);
    assert_int_equal(qp_secret_live_count(), rig->secrets);
}

/* ---- the token ---- */

struct qp_token_status rig_status(const struct rig *rig)
{
    return qp_keeper_status(rig->keeper, 0);
}

static bool is_in_state(struct rig *rig)
{
    return rig_status(rig).state == rig->wanted;
}

void rig_run_to_state(struct rig *rig, enum qp_token_state state, uint64_t limit_ms)
{
    rig->wanted = state;
    rig_run_until(rig, is_in_state, limit_ms);
}

static bool has_generation(struct rig *rig)
{
    struct qp_token token;
    return qp_view_token(rig->view, 0, rig->wanted, &token);
}

void rig_run_to_generation(struct rig *rig, uint64_t generation, uint64_t limit_ms)
{
    rig->wanted = generation;
    rig_run_until(rig, has_generation, limit_ms);
}

static enum endpoint_lane wanted_lane;

static bool has_calls(struct rig *rig)
{
    return endpoint_calls_at(rig->endpoint, wanted_lane) >= rig->wanted;
}

void rig_run_to_calls(struct rig *rig, enum endpoint_lane lane, unsigned calls, uint64_t limit_ms)
{
    rig->wanted = calls;
    wanted_lane = lane;
    rig_run_until(rig, has_calls, limit_ms);
}

/* ---- needs ---- */

static void remember(struct qp_need *need, enum qp_need_outcome outcome, uint32_t retry_after_s,
                     const char *text)
{
    struct answered *answered = QP_CONTAINER_OF(need, struct answered, need);
    struct qp_token token;
    ++answered->times;
    answered->outcome = outcome;
    answered->retry_after_s = retry_after_s;
    snprintf(answered->text, sizeof(answered->text), "%s", text ? text : "");
    assert_int_equal(text == NULL, outcome == QP_NEED_MET);
    if (outcome == QP_NEED_MET)
        assert_true(qp_view_token(answered->rig->view, 0, need->min_generation, &token));
}

void rig_need(struct rig *rig, uint64_t min_generation, struct answered *answered)
{
    *answered = (struct answered){.rig = rig, .need.answered = remember};
    qp_view_need(rig->view, 0, min_generation, &answered->need);
    assert_int_equal(answered->times, 0);
}

static struct answered *awaited;

static bool is_answered(struct rig *rig)
{
    return awaited->times > 0;
}

struct answered rig_ask(struct rig *rig, uint64_t min_generation)
{
    struct answered answered;
    rig_need(rig, min_generation, &answered);
    awaited = &answered;
    rig_run_until(rig, is_answered, 5000);
    assert_int_equal(answered.times, 1);
    return answered;
}

void rig_assert_token(struct rig *rig, uint64_t min_generation, const char *value)
{
    struct qp_token token;
    assert_true(qp_view_token(rig->view, 0, min_generation, &token));
    assert_true(qp_slice_is(qp_secret_reveal(token.value), qp_slice_str(value)));
}

/* ---- orders ---- */

void rig_take_end(void *owner, const struct qp_order_end *end)
{
    struct ordered *ordered = owner;
    ++ordered->times;
    ordered->ok = end->ok;
    snprintf(ordered->code, sizeof(ordered->code), "%s", end->code);
    snprintf(ordered->text, sizeof(ordered->text), "%s", end->text);
}

static const struct ordered *awaited_end;

static bool has_ended(struct rig *rig)
{
    return awaited_end->times > 0;
}

void rig_run_to_end(struct rig *rig, const struct ordered *ordered, const char *code)
{
    awaited_end = ordered;
    rig_run_until(rig, has_ended, 5000);
    if (strcmp(ordered->code, code) != 0)
        fail_msg("'%s' instead of '%s': %s", ordered->code, code, ordered->text);
    assert_int_equal(ordered->times, 1);
    assert_true(ordered->text[0]);
}

void rig_assert_words(const char *text, const char *words)
{
    if (!text || !strstr(text, words))
        fail_msg("'%s' does not say '%s'", text ? text : "(null)", words);
}

/* ---- answers ---- */

const char *rig_grant(const char *token, unsigned life_s)
{
    char body[200];
    snprintf(body, sizeof(body), "{\"access_token\":\"%s\",\"token_type\":\"bearer\",\"expires_in\":%u}",
             token, life_s);
    return endpoint_answer("200 OK", body);
}

const char *rig_rotation(const char *token, const char *refresh_token)
{
    char body[200];
    snprintf(body, sizeof(body), "{\"access_token\":\"%s\",\"refresh_token\":\"%s\"}", token, refresh_token);
    return endpoint_answer("200 OK", body);
}

const char *rig_error(const char *status, const char *code)
{
    char body[200];
    snprintf(body, sizeof(body), "{\"error\":\"%s\"}", code);
    return endpoint_answer(status, body);
}

const char *rig_who(const char *user)
{
    char body[200];
    snprintf(body, sizeof(body), "{\"result\":{\"userName\":\"%s\",\"brandId\":\"brand\"}}", user);
    return endpoint_answer("200 OK", body);
}

/* ---- signing in ---- */

void rig_begin(struct rig *rig, const char *binding, const char *code, struct begun *begun)
{
    const char *why = "before";
    assert_true(qp_sign_in_begin(rig->keeper, 0, NULL, qp_slice_str(binding), &begun->begun, &why));
    assert_null(why);
    snprintf(begun->url, sizeof(begun->url), "%s", begun->begun.url);
    begun->begun.url = begun->url;
    struct qp_slice query = qp_slice_str(begun->url);
    (void)qp_slice_cut(&query, '?');
    assert_int_equal(qp_form_find(query, "state", begun->state, sizeof(begun->state)), 1);
    snprintf(begun->query, sizeof(begun->query), "code=%s&state=%s", code, begun->state);
}

void rig_finish(struct rig *rig, const char *query, const char *binding, const char *id,
                struct ordered *ordered)
{
    *ordered = (struct ordered){0};
    qp_sign_in_finish(
        rig->keeper,
        &(struct qp_sign_in_answer){.query = qp_slice_str(query), .binding = qp_slice_str(binding), .id = id},
        rig_take_end, ordered);
    assert_int_equal(ordered->times, 0);
}

void rig_answer(struct rig *rig, const char *query, const char *code)
{
    struct ordered ordered;
    rig_finish(rig, query, "", NULL, &ordered);
    rig_run_to_end(rig, &ordered, code);
    assert_int_equal(ordered.ok, strcmp(code, "signed_in") == 0);
}

const char *rig_progress(struct rig *rig, const struct begun *begun)
{
    return qp_sign_in_progress(rig->keeper, begun->begun.id, NULL, NULL);
}

void rig_sign_in(struct rig *rig, const char *code)
{
    struct begun begun;
    rig_begin(rig, "", code, &begun);
    rig_answer(rig, begun.query, "signed_in");
}
