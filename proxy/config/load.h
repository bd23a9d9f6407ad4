/* load.h - what the loader's files share. Private to config. */
#ifndef QP_CONFIG_LOAD_H
#define QP_CONFIG_LOAD_H

#include "base/buf.h"
#include "config/config.h"
#include "config/settings.h"

enum { QP_CONFIG_MOST_ACCOUNTS = 64, QP_CONFIG_MOST_LIST_MEMBERS = 64, QP_CONFIG_PLACE_BYTES = 128 };

/* What is printed instead of a secret. */
#define QP_CONFIG_SECRET_MASK "********"

/* Which settings an object had, and which of those were wrong: by index into qp_settings. */
struct qp_seen {
    bool settings[QP_MOST_SETTINGS];
    bool wrong[QP_MOST_SETTINGS];
};

bool qp_seen_has(const struct qp_seen *seen, const char *path);

/* Sets the member; a list gets one more. False if the text does not fit the type and bounds. */
bool qp_setting_set_text(const struct qp_setting *setting, void *base, const char *text);
bool qp_setting_is_zero_word(const struct qp_setting *setting, const char *text);
/* What is allowed, for people. */
void qp_setting_describe(const struct qp_setting *setting, char *out, size_t size);
/* The value as JSON would have it ("10s" with its quotes), secrets masked; false if it is unset. */
bool qp_setting_format(const struct qp_setting *setting, const void *base, struct qp_buf *out);

/* What needs more than one setting to be judged, and what follows from several: outside of the accounts, and
 * in them (the origin, the endpoints). seen: one an account. */
void qp_top_finish(struct qp_config *config, const struct qp_seen *top, struct qp_problems *problems);
void qp_accounts_finish(struct qp_config *config, const struct qp_seen *top, const struct qp_seen *seen,
                        struct qp_problems *problems);

/* False if each account is reached by listeners of its own only. */
bool qp_accounts_use_common_listeners(const struct qp_config *config);

void qp_list_deinit_texts(struct qp_config_list *list);

#endif
