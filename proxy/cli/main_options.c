/* The command line as two tables: options, and subcommands that take some of them. */
#include "cli/cli.h"
#include "cli/exit_codes.h"
#include "version.h"

#include <fcntl.h>
#include <getopt.h>
#include <sysexits.h>
#include <unistd.h>

enum { SAMPLE = 1, TABLE, ONLINE, SPEND, JSON, NO_BROWSER };

struct option_row {
    char letter; /* of the short form, or just a number for getopt_long() */
    const char *name;
    const char *argument; /* NULL: takes none */
    const char *help;
    size_t flag; /* the place of a bool in the options, where the option just sets one */
};

#define FLAG(member) offsetof(struct qp_cli_options, member)
static const struct option_row option_rows[] = {
    {'c', "config", "FILE",
     "read FILE; without it ./qproxy.json, /etc/qproxy/qproxy.json, then the environment", 0},
    {SAMPLE, "sample", NULL, "print a commented sample configuration and end", FLAG(sample)},
    {TABLE, "table", NULL, "print all settings as a Markdown table and end", FLAG(table)},
    {ONLINE, "online", NULL, "ask each account's origin who we are", FLAG(online)},
    {SPEND, "spend", NULL, "with --online: a refresh token may be redeemed for it, which may spend it",
     FLAG(spend)},
    {JSON, "json", NULL, "print /api/status as it is", FLAG(json)},
    {NO_BROWSER, "no-browser", NULL, "only print the address to sign in at", FLAG(no_browser)},
    {'h', "help", NULL, "say this and end", 0},
    {'V', "version", NULL, "say the version and end", 0},
};
#undef FLAG
enum { OPTIONS = sizeof(option_rows) / sizeof(option_rows[0]) };

struct command {
    const char *name;
    const char *word; /* what may follow it: NULL, "[ACCOUNT]", or "FILE", which must */
    const char *help;
    const char *letters; /* of the options it takes */
    int (*carry_out)(const struct qp_cli_options *options);
};

static const struct command commands[] = {
    {"run", NULL, "serve; this is what qproxy does without a subcommand", "chV", qp_cli_run},
    {"check", "[ACCOUNT]",
     "validate the configuration and show what it comes to; with --online, ask the origins", "c\1\2\3\4hV",
     qp_cli_check},
    {"login", "[ACCOUNT]",
     "sign an account in: with a browser here, or by pasting the address that one ends at", "c\6hV",
     qp_cli_login},
    {"status", NULL, "show the state of all accounts and of the vault", "c\5hV", qp_cli_status},
    {"logout", "[ACCOUNT]", "forget an account's tokens, and revoke them where the origin can", "chV",
     qp_cli_logout},
    {"refresh", "[ACCOUNT]", "get a new token now", "chV", qp_cli_refresh},
    {"key new", "FILE", "make a key for the vault", "hV", qp_cli_key_new},
    {"key rotate", NULL, "seal the vault with a new key", "chV", qp_cli_key_rotate},
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

int qp_cli_finish_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return EX_OK;
    perror("qproxy: standard output");
    return EX_IOERR;
}

static bool takes(const struct command *command, char letter)
{
    return strchr(command->letters, letter) != NULL;
}

static void print_options(const struct command *command)
{
    puts("\nOptions:");
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option_row *row = &option_rows[i];
        char form[32];
        if (!takes(command, row->letter))
            continue;
        snprintf(form, sizeof(form), "--%s%s%s", row->name, row->argument ? " " : "",
                 row->argument ? row->argument : "");
        if (row->letter > ' ')
            printf("  -%c, %-15s  %s\n", row->letter, form, row->help);
        else
            printf("      %-15s  %s\n", form, row->help);
    }
}

static int print_general_help(void)
{
    puts("qproxy attaches Qualtrics credentials to plain requests.\n\nUsage: qproxy [SUBCOMMAND] "
         "[OPTIONS]\n\nSubcommands:");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-10s %-9s  %s\n", commands[i].name, commands[i].word ? commands[i].word : "",
               commands[i].help);
    print_options(&commands[0]);
    puts("\nAn ACCOUNT may be left out where only one fits. Subcommands talk to the running daemon at "
         "admin.listen;\n"
         "without one they open the vault themselves. `qproxy SUBCOMMAND --help` says more.\n");
    qp_exit_print(stdout);
    return qp_cli_finish_output();
}

static int print_help(const struct command *command)
{
    printf("Usage: qproxy %s%s%s [OPTIONS]\n\n%s: %s\n", command->name, command->word ? " " : "",
           command->word ? command->word : "", command->name, command->help);
    print_options(command);
    putchar('\n');
    qp_exit_print(stdout);
    return qp_cli_finish_output();
}

static int print_version(void)
{
    puts("qproxy " QP_VERSION);
    return qp_cli_finish_output();
}

/* How many of the words are its name; 0: it is another one. */
static int count_name_words(const struct command *command, int count, char *const *words)
{
    struct qp_slice rest = qp_slice_str(command->name);
    int i = 0;
    for (; i < count && rest.at; i++)
        if (!qp_slice_is(qp_slice_cut(&rest, ' '), qp_slice_str(words[i])))
            return 0;
    return rest.at ? 0 : i;
}

static const struct command *find_command(int count, char *const *words)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (count_name_words(&commands[i], count, words))
            return &commands[i];
    return NULL;
}

static int refuse_command(const char *name)
{
    fprintf(stderr, "qproxy: unknown subcommand '%s'; there are", name);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(stderr, "%s %s", i ? "," : "", commands[i].name);
    fputs("; see `qproxy --help`\n", stderr);
    return EX_USAGE;
}

static int refuse_option(const struct command *command, char **argv, int found)
{
    const char *word = argv[optind - 1];
    const char letter[] = {'-', (char)optopt, '\0'};
    const char *shown = strncmp(word, "--", 2) == 0 ? word : letter;
    if (found == ':')
        fprintf(stderr, "qproxy: option '%s' needs a file name behind it", shown);
    else if (strncmp(word, "--", 2) == 0 && strchr(word, '=') && optopt)
        fprintf(stderr, "qproxy: option '%s' takes no value", shown);
    else
        fprintf(stderr, "qproxy: unknown option '%s'", shown);
    fprintf(stderr, "; see `qproxy %s --help`\n", command->name);
    return EX_USAGE;
}

/* What stands behind the options; `count` words of it. */
static int refuse_words(const struct command *command, bool named, int count, char *const *words)
{
    if (!count)
        fprintf(stderr, "qproxy: %s needs a %s; see `qproxy %s --help`\n", command->name, command->word,
                command->name);
    else if (named)
        fprintf(stderr, "qproxy: unexpected '%s'; see `qproxy %s --help`\n", words[command->word ? 1 : 0],
                command->name);
    else if (!find_command(count, words))
        return refuse_command(words[0]);
    else
        fprintf(stderr, "qproxy: the subcommand '%s' comes before all options\n", words[0]);
    return EX_USAGE;
}

struct getopt_tables {
    struct option longs[OPTIONS + 1];
    char shorts[1 + 2 * OPTIONS + 1];
};

/* ':' tells a missing argument from an unknown option. */
static void fill_tables(const struct command *command, struct getopt_tables *tables)
{
    size_t longs = 0;
    size_t shorts = 1;
    tables->shorts[0] = ':';
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option_row *row = &option_rows[i];
        if (!takes(command, row->letter))
            continue;
        tables->longs[longs++] = (struct option){.name = row->name,
                                                 .has_arg = row->argument ? required_argument : no_argument,
                                                 .val = row->letter};
        if (row->letter <= ' ')
            continue;
        tables->shorts[shorts++] = row->letter;
        if (row->argument)
            tables->shorts[shorts++] = ':';
    }
}

/* False if there is none. */
static bool set_flag(struct qp_cli_options *options, int letter)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        if (option_rows[i].letter != letter || letter > ' ')
            continue;
        *(bool *)((char *)options + option_rows[i].flag) = true;
        return true;
    }
    return false;
}

static int carry_out(const struct command *command, bool named, int argc, char **argv)
{
    struct qp_cli_options options = {0};
    struct getopt_tables tables = {0};
    fill_tables(command, &tables);
    opterr = 0;
    for (int found; (found = getopt_long(argc, argv, tables.shorts, tables.longs, NULL)) != -1;) {
        switch (found) {
        case 'c':
            options.config_file = optarg;
            break;
        case 'h':
            return named ? print_help(command) : print_general_help();
        case 'V':
            return print_version();
        default:
            if (!set_flag(&options, found))
                return refuse_option(command, argv, found);
        }
    }
    int most = command->word ? 1 : 0;
    int least = most && *command->word != '[';
    int count = argc - optind;
    if (count < least || count > most)
        return refuse_words(command, named, count, argv + optind);
    options.word = count ? argv[optind] : NULL;
    return command->carry_out(&options);
}

/* A closed standard file would be opened as the next socket, and what is said on standard error be sent to whoever
 * is at its other end. Opened for the wrong direction, a write to it still fails as it did. */
static void hold_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY); /* takes the lowest number */
}

int qp_cli_main(int argc, char **argv)
{
    hold_standard_files();
    bool named = argc > 1 && argv[1][0] != '-' && argv[1][0] != '\0';
    if (!named)
        return carry_out(&commands[0], false, argc, argv);
    const struct command *command = find_command(argc - 1, argv + 1);
    if (!command)
        return refuse_command(argv[1]);
    int words = count_name_words(command, argc - 1, argv + 1);
    return carry_out(command, true, argc - words, argv + words);
}
