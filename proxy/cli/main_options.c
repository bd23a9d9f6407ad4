/* The command line as two tables: options, and subcommands that take some of them. */
#include "cli/cli.h"
#include "version.h"

#include <fcntl.h>
#include <getopt.h>
#include <sysexits.h>
#include <unistd.h>

struct option_row {
    char letter; /* of the short form, or just a number for getopt_long() */
    const char *name;
    const char *argument; /* NULL: takes none */
    const char *help;
};

enum { SAMPLE = 1, TABLE = 2 };

static const struct option_row option_rows[] = {
    {'c', "config", "FILE",
     "read FILE; without it ./qproxy.json, /etc/qproxy/qproxy.json, then the environment"},
    {SAMPLE, "sample", NULL, "print a commented sample configuration and end"},
    {TABLE, "table", NULL, "print all settings as a Markdown table and end"},
    {'h', "help", NULL, "say this and end"},
    {'V', "version", NULL, "say the version and end"},
};
enum { OPTIONS = sizeof(option_rows) / sizeof(option_rows[0]) };

struct command {
    const char *name;
    const char *help;
    const char *letters; /* of the options it takes */
    int (*carry_out)(const struct qp_cli_options *options);
};

static const struct command commands[] = {
    {"run", "serve; this is what qproxy does without a subcommand", "chV", qp_cli_run},
    {"check", "validate the configuration without the network, show what it comes to, secrets masked",
     "c\1\2hV", qp_cli_check},
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static const char exit_codes[] =
    "Exit codes (sysexits.h): 0 all went well, 64 wrong command line, 66 the configuration file cannot be "
    "read,\n"
    "69 an address is in use, 71 the system refused something, 73 a log file cannot be opened, 74 the output "
    "is "
    "lost,\n75 a second signal cut the requests in flight, 78 the configuration is wrong.\n";

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
        printf("  %-7s  %s\n", commands[i].name, commands[i].help);
    print_options(&commands[0]);
    printf("\n`qproxy SUBCOMMAND --help` says more.\n\n%s", exit_codes);
    return qp_cli_finish_output();
}

static int print_help(const struct command *command)
{
    printf("Usage: qproxy %s [OPTIONS]\n\n%s: %s\n", command->name, command->name, command->help);
    print_options(command);
    printf("\n%s", exit_codes);
    return qp_cli_finish_output();
}

static int print_version(void)
{
    puts("qproxy " QP_VERSION);
    return qp_cli_finish_output();
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
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

static int refuse_word(const struct command *command, bool named, const char *word)
{
    if (!named && !find_command(word))
        return refuse_command(word);
    if (named)
        fprintf(stderr, "qproxy: unexpected '%s'; see `qproxy %s --help`\n", word, command->name);
    else
        fprintf(stderr, "qproxy: the subcommand '%s' comes before all options\n", word);
    return EX_USAGE;
}

struct getopt_tables {
    struct option longs[OPTIONS + 1];
    char shorts[2 + 2 * OPTIONS + 1];
};

/* '+' stops at the first word that is no option, ':' tells a missing argument from an unknown option. */
static void fill_tables(const struct command *command, struct getopt_tables *tables)
{
    size_t longs = 0;
    size_t shorts = 2;
    memcpy(tables->shorts, "+:", 2);
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
        case SAMPLE:
            options.sample = true;
            break;
        case TABLE:
            options.table = true;
            break;
        case 'h':
            return named ? print_help(command) : print_general_help();
        case 'V':
            return print_version();
        default:
            return refuse_option(command, argv, found);
        }
    }
    if (optind < argc)
        return refuse_word(command, named, argv[optind]);
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
    const struct command *command = named ? find_command(argv[1]) : &commands[0];
    if (!command)
        return refuse_command(argv[1]);
    return named ? carry_out(command, true, argc - 1, argv + 1) : carry_out(command, false, argc, argv);
}
