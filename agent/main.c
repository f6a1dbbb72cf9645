/* main.c - options and commands of trimtab. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "client/client.h"
#include "client/top.h"
#include "core/agent.h"
#include "core/config.h"
#include "core/keeper.h"
#include "core/log.h"
#include "docs.h"

#define EXIT_USAGE 2

struct arguments {
	const char *config, *listen, *state_dir;
};

static int usage(FILE *out)
{
	fputs("usage: trimtab COMMAND [OPTIONS]\n"
	      "\n"
	      "  run [--config FILE] [--listen ADDR:PORT] [--state-dir DIR]\n"
	      "                       see, judge and serve this node (as root)\n"
	      "  top [OPTIONS]        the services of this node, live; see trimtab top --help\n"
	      "  check FILE           check a configuration file\n"
	      "  modules              list what the agent is made of\n"
	      "  docs metrics | configuration\n"
	      "                       print a reference page as Markdown\n"
	      "  version\n"
	      "\n"
	      "With no file, `trimtab run` works on its defaults; every option can also be set as\n"
	      "TRIMTAB_SECTION_KEY in the environment.\n",
	      out);
	return out == stderr ? EXIT_USAGE : 0;
}

static int fail(const char *line)
{
	fprintf(stderr, "trimtab: %s\n", line);
	return 1;
}

static int command_run(const struct arguments *args, int argc, char **argv)
{
	struct config *config;
	char err[512];

	if (argc)
		return fprintf(stderr, "trimtab run: unexpected \"%s\"\n", argv[0]), EXIT_USAGE;
	if (config_load(args->config, environ, &config, err, sizeof(err)))
		return fail(err);
	if ((args->listen &&
	     config_set(config, "serve", "listen", args->listen, err, sizeof(err))) ||
	    (args->state_dir &&
	     config_set(config, "agent", "state_dir", args->state_dir, err, sizeof(err)))) {
		config_free(config);
		return fail(err);
	}
	log_setup(config->log.format, config->log.level);
	return keeper_run(config, args->config);
}

static int command_top(const struct arguments *args, int argc, char **argv)
{
	struct client_options defaults = {.config = args->config, .state_dir = args->state_dir};

	return top_command(&defaults, argc, argv);
}

static int command_check(const struct arguments *args, int argc, char **argv)
{
	struct config *config;
	char err[512];

	if (argc != 1)
		return fprintf(stderr, "usage: trimtab check FILE\n"), EXIT_USAGE;
	if (config_load(argv[0], environ, &config, err, sizeof(err)))
		return fail(err);
	config_free(config);
	printf("%s: fine\n", argv[0]);
	return 0;
}

static int command_modules(const struct arguments *args, int argc, char **argv)
{
	for (size_t i = 0; agent_modules[i]; i++)
		printf("%-10s %s\n", agent_modules[i]->name, agent_modules[i]->about);
	return 0;
}

static int command_docs(const struct arguments *args, int argc, char **argv)
{
	if (argc == 1 && !strcmp(argv[0], "metrics"))
		docs_metrics(stdout);
	else if (argc == 1 && !strcmp(argv[0], "configuration"))
		config_print_docs(stdout);
	else
		return fprintf(stderr, "usage: trimtab docs metrics | configuration\n"), EXIT_USAGE;
	return 0;
}

static int command_version(const struct arguments *args, int argc, char **argv)
{
	puts("trimtab " TRIMTAB_VERSION);
	return 0;
}

static int command_help(const struct arguments *args, int argc, char **argv)
{
	return usage(stdout);
}

static const struct command {
	const char *name;
	int (*run)(const struct arguments *args, int argc, char **argv);
	bool own_options; /* reads them itself; argv[0] is its name */
} commands[] = {
    {"run", command_run, false},     {"top", command_top, true},
    {"check", command_check, false}, {"modules", command_modules, false},
    {"docs", command_docs, false},   {"version", command_version, false},
    {"help", command_help, false},
};

/* letters: "+..." to stop at the command. Returns where the rest of argv begins. */
static int parse(int argc, char **argv, const char *letters, struct arguments *ret)
{
	static const struct option options[] = {
	    {"config", required_argument, NULL, 'c'},	 {"listen", required_argument, NULL, 'l'},
	    {"state-dir", required_argument, NULL, 's'}, {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'v'},	 {}};
	int c;

	optind = 0; /* from the beginning: it is called twice */
	while ((c = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		if (c == 'c')
			ret->config = optarg;
		else if (c == 'l')
			ret->listen = optarg;
		else if (c == 's')
			ret->state_dir = optarg;
		else if (c == 'v')
			exit(command_version(ret, 0, NULL));
		else
			exit(usage(c == 'h' ? stdout : stderr));
	}
	return optind;
}

static int run_command(const struct command *command, struct arguments *args, int argc, char **argv)
{
	int i;

	if (command->own_options)
		return command->run(args, argc, argv);
	argv[0] = program_invocation_short_name; /* what getopt's own messages begin with */
	i = parse(argc, argv, "hv", args);
	return command->run(args, argc - i, argv + i);
}

int main(int argc, char **argv)
{
	struct arguments args = {};
	int i = parse(argc, argv, "+hv", &args);

	if (i >= argc)
		return usage(stderr);
	for (size_t k = 0; k < sizeof(commands) / sizeof(*commands); k++)
		if (!strcmp(commands[k].name, argv[i]))
			return run_command(&commands[k], &args, argc - i, argv + i);
	fprintf(stderr, "trimtab: unknown command \"%s\"; see trimtab help\n", argv[i]);
	return EXIT_USAGE;
}
