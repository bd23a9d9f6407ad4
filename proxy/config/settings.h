/* settings.h - THE table: one row a setting. Private to config. */
#ifndef QP_CONFIG_SETTINGS_H
#define QP_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a value is and the member's type in struct qp_config or struct qp_config_account. */
enum qp_setting_type {
    QP_SETTING_BOOL,     /* bool */
    QP_SETTING_COUNT,    /* uint64_t */
    QP_SETTING_DURATION, /* uint64_t, milliseconds */
    QP_SETTING_SIZE,     /* uint64_t, bytes */
    QP_SETTING_TEXT,     /* char * */
    QP_SETTING_LIST,     /* struct qp_config_list */
    QP_SETTING_CHOICE,   /* an enum */
    QP_SETTING_SECRET    /* struct qp_config_secret */
};

struct qp_choice {
    const char *name; /* NULL ends the list */
    unsigned value;
};

struct qp_setting {
    const char *path; /* "timeouts.drain"; "accounts[].name" lies in struct qp_config_account */
    enum qp_setting_type type;
    size_t offset;
    const char *fallback; /* the default as text; NULL: none */
    const char *example;  /* for the sample, where there is no default */
    uint64_t min;         /* of the value; for texts and lists max is the longest text */
    uint64_t max;
    const char *zero_word; /* "off", "auto": the word for 0 or NULL */
    const struct qp_choice *choices;
    const char *(*refuse)(const char *text); /* of a text or a list's member: why not, or NULL */
    bool reference;                          /* a text that may also be env:, file: or cred: */
    bool passphrase;                         /* a secret whose reference may have passphrase: before it */
    const char *never_literal; /* why a secret must be a reference in any file; NULL: it need not */
    unsigned used_by;   /* of an account's: the grants that have a use for it, QP_SETTING_BY() each; 0: all */
    unsigned needed_by; /* those that cannot do without */
    bool in_sample;     /* the example is not commented out */
    bool restart;       /* a reload does not change it */
    const char *help;
};

#define QP_SETTING_BY(grant) (1U << (grant))

enum { QP_MOST_SETTINGS = 96 };

extern const struct qp_setting qp_settings[];
extern const size_t qp_setting_count;

/* NULL if there is no such path. */
const struct qp_setting *qp_setting_find(const char *path);
/* True for what lies around settings: "timeouts", "accounts[]". */
bool qp_setting_is_group(const char *path);
bool qp_setting_is_of_account(const struct qp_setting *setting);
/* grant: enum qp_config_grant. */
bool qp_setting_is_used_by(const struct qp_setting *setting, unsigned grant);
/* The path's last part: "drain". */
const char *qp_setting_key(const struct qp_setting *setting);
/* The path that is meant by one that does not exist, or NULL when none is close. */
const char *qp_setting_guess(const char *path);

#endif
