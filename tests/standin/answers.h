/* answers.h - the routes' own answers, by file. Each ends the call. */
#ifndef STANDIN_ANSWERS_H
#define STANDIN_ANSWERS_H

#include "call.h"

/* surveys.c */
void si_whoami(struct si_call *call);
void si_surveys(struct si_call *call);
void si_survey(struct si_call *call);
void si_definition(struct si_call *call);

/* lists.c */
void si_directories(struct si_call *call);
void si_mailing_lists(struct si_call *call);
void si_contacts(struct si_call *call);
void si_distributions(struct si_call *call);
void si_distribute(struct si_call *call);
void si_links(struct si_call *call);
void si_subscribe(struct si_call *call);
void si_subscription(struct si_call *call);
void si_unsubscribe(struct si_call *call);

/* exports.c */
void si_export_start(struct si_call *call);
void si_export_poll(struct si_call *call);
void si_export_file(struct si_call *call);
void si_legacy_start(struct si_call *call);
void si_legacy_poll(struct si_call *call);
void si_legacy_file(struct si_call *call);
void si_import_start(struct si_call *call);
void si_import_poll(struct si_call *call);

/* authorize.c */
void si_authorize(struct si_call *call);
void si_sign_in(struct si_call *call);
void si_consent(struct si_call *call);

/* oauth.c */
void si_token(struct si_call *call);

/* revoke.c */
void si_revoke(struct si_call *call);

/* probe.c */
void si_echo_answer(struct si_call *call);
void si_blob(struct si_call *call);
void si_slow(struct si_call *call);
void si_status(struct si_call *call);
void si_cut(struct si_call *call);
void si_early(struct si_call *call);

/* nextpage.c */
void si_nextpage(struct si_call *call);
/* `"https://host/API/v3/`: the beginning of a link, with the host that the request named or that a knob or a parameter wants. */
void si_link_begin(struct si_call *call);

#endif
