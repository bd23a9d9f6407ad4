/* url.h - https URLs as the configuration has them. Pure. Private to config. */
#ifndef QP_CONFIG_URL_H
#define QP_CONFIG_URL_H

#include "config/config.h"

/* url->text is cut into the other members. Why it cannot be, or NULL. */
const char *qp_config_url_parse(struct qp_config_url *url, bool path_allowed);
void qp_url_deinit(struct qp_config_url *url);

const char *qp_refuse_origin(const char *text);
const char *qp_refuse_token_url(const char *text);
/* RFC 6749 section 3.1.2, RFC 8252 section 7.3. */
const char *qp_refuse_redirect_uri(const char *text);
/* What a Host field says. */
const char *qp_refuse_authority(const char *text);

#endif
