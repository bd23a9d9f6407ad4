#include "cli/exit_codes.h"

#include <string.h>
#include <sysexits.h>

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

/* Lines as wide as a terminal: they are shown as they stand. */
static const struct {
    int code;
    const char *meaning;
} MEANINGS[] = {
    {EX_OK, "all went well"},
    {EX_USAGE, "wrong command line, or an order that the grant or the key does not know"},
    {EX_DATAERR, "the vault is corrupt; what was pasted is no answer to this sign-in"},
    {EX_NOINPUT, "the configuration file cannot be read; the vault's folder is not there"},
    {EX_UNAVAILABLE, "an address is in use; no daemon runs; no token now, the network failed"},
    {EX_SOFTWARE, "the vault was written by a newer qproxy"},
    {EX_OSERR, "the system refused something"},
    {EX_CANTCREAT, "a log file, the vault or a key file cannot be opened or made"},
    {EX_IOERR, "the output is lost; the vault cannot be written"},
    {EX_TEMPFAIL, "another process has the vault; a second signal cut the requests in flight"},
    {EX_PROTOCOL, "the origin's certificate is not accepted, or its answer makes no sense"},
    {EX_NOPERM, "the vault's key is wrong; credentials or permissions are refused; sign in first"},
    {EX_CONFIG, "the configuration is wrong"},
};

static const struct {
    enum qp_vault_outcome outcome;
    int code;
} VAULT[] = {
    {QP_VAULT_OPEN, EX_OK},          {QP_VAULT_ABSENT, EX_NOINPUT},       {QP_VAULT_CORRUPT, EX_DATAERR},
    {QP_VAULT_WRONG_KEY, EX_NOPERM}, {QP_VAULT_TOO_NEW, EX_SOFTWARE},     {QP_VAULT_LOCKED, EX_TEMPFAIL},
    {QP_VAULT_BAD_KEY, EX_NOPERM},   {QP_VAULT_UNREADABLE, EX_CANTCREAT},
};

struct word {
    const char *word;
    int code;
};

static const struct word ORDERS[] = {
    /* the network, or what passes by itself */
    {"failed", EX_UNAVAILABLE},
    {"token_failed", EX_UNAVAILABLE},
    {"resolve", EX_UNAVAILABLE},
    {"network", EX_UNAVAILABLE},
    {"stopping", EX_UNAVAILABLE},
    {"server_error", EX_UNAVAILABLE},
    {"temporarily_unavailable", EX_UNAVAILABLE},
    /* the origin */
    {"certificate", EX_PROTOCOL},
    {"unexpected", EX_PROTOCOL},
    {"wrong_issuer", EX_PROTOCOL},
    {"no_code", EX_PROTOCOL},
    /* what was asked for */
    {"static", EX_USAGE},
    {"no_account", EX_USAGE},
    {"not_rotatable", EX_USAGE},
    {"bad_answer", EX_DATAERR},
    {"state_unknown", EX_DATAERR},
    {"other_attempt", EX_DATAERR},
    /* the vault */
    {"vault", EX_IOERR},
    /* who we are */
    {"sign_in_needed", EX_NOPERM},
    {"refused", EX_NOPERM},
    {"rejected", EX_NOPERM},
    {"forbidden", EX_NOPERM},
    {"access_denied", EX_NOPERM},
    {"login_required", EX_NOPERM},
    {"consent_required", EX_NOPERM},
    {"interaction_required", EX_NOPERM},
    {"other_browser", EX_NOPERM},
    {"unauthorized", EX_NOPERM},
    {"wrong_host", EX_CONFIG},
    {"invalid_scope", EX_CONFIG},
    {"invalid_request", EX_CONFIG},
    {"unauthorized_client", EX_CONFIG},
    {"unsupported_response_type", EX_CONFIG},
};

static const struct word STATES[] = {
    {"sign-in-needed", EX_NOPERM},
    {"refused", EX_NOPERM},
};

/* `otherwise` for what is not in the table. */
static int look_up(const struct word *words, size_t count, const char *word, int otherwise)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(words[i].word, word) == 0)
            return words[i].code;
    return otherwise;
}

void qp_exit_print(FILE *out)
{
    fputs("Exit codes (sysexits.h):\n", out);
    for (size_t i = 0; i < COUNT_OF(MEANINGS); i++)
        fprintf(out, "  %3d  %s\n", MEANINGS[i].code, MEANINGS[i].meaning);
    fputs("  128 and the signal's number: a signal ended a subcommand.\n"
          "Where several accounts have trouble, the highest of their codes.\n",
          out);
}

int qp_exit_of_vault(enum qp_vault_outcome outcome)
{
    for (size_t i = 0; i < COUNT_OF(VAULT); i++)
        if (VAULT[i].outcome == outcome)
            return VAULT[i].code;
    return EX_OSERR;
}

int qp_exit_of_claim(enum qp_result result)
{
    return result == QP_NET_IN_USE ? EX_UNAVAILABLE : EX_OSERR;
}

int qp_exit_of_order(const char *code)
{
    return look_up(ORDERS, COUNT_OF(ORDERS), code, EX_UNAVAILABLE);
}

int qp_exit_of_account(bool is_usable, const char *state)
{
    return is_usable ? EX_OK : look_up(STATES, COUNT_OF(STATES), state, EX_UNAVAILABLE);
}

int qp_exit_worse(int a, int b)
{
    return a > b ? a : b;
}
