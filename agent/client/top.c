/* top.c - `trimtab top`: GET /api/services and /api/status of a running trimtab, as a table that is
 * drawn anew every interval.
 *
 * Without a terminal, or with --once, one table and no escapes. While it runs, an agent that does
 * not answer is a line that says so, above the last table. Bounds: TOP_ROWS_MAX services. Cost: two
 * requests an interval; a key or a signal ends one that waits.
 */
#define _GNU_SOURCE
#include <cjson/cJSON.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>
#include "client/client.h"
#include "client/terminal.h"
#include "client/top.h"
#include "client/top_view.h"

#define EXIT_USAGE 2
#define INTERVAL_MIN_S 0.1
#define INTERVAL_MAX_S 3600

static const char *const directions[] = {"both", "inbound", "outbound", NULL};

struct options {
	struct client_options client;
	bool once, json;
	double interval_s;
	size_t direction, order; /* into directions, top_view_orders */
};

struct top {
	struct options options;
	struct client client;
	struct top_view view;
	char err[CLIENT_ERROR_MAX]; /* of the last request; "": it was answered */
	time_t failing_since;	    /* 0: it was */
};

static int help(void)
{
	fputs("usage: trimtab top [OPTIONS]\n"
	      "\n"
	      "The services that a running trimtab sees on this node: requests a second, errors, "
	      "and\n"
	      "the time to answer them. QUEUE is the p95 of the time before the server read them.\n"
	      "\n"
	      "  --url URL            where it answers; by default what serve.listen says\n"
	      "  --interval S         seconds from one table to the next (2)\n"
	      "  --direction inbound|outbound|both\n"
	      "                       served here, called from here (both)\n"
	      "  --sort rate|errors|p95|name\n"
	      "  --once               one table, as without a terminal\n"
	      "  --json               the answer of /api/services, once\n"
	      "  --config FILE, --state-dir DIR\n"
	      "                       as given to trimtab run: for the address and the token\n"
	      "\n"
	      "Keys: q quits, s sorts by the next column, d changes the direction.\n",
	      stdout);
	return 0;
}

/* --- options */

static int read_word(const char *option, const char *text, const char *const *words, size_t *ret)
{
	for (size_t i = 0; words[i]; i++)
		if (strcmp(words[i], text) == 0) {
			*ret = i;
			return 0;
		}
	fprintf(stderr, "trimtab top: --%s \"%s\" is wrong; one of", option, text);
	for (size_t i = 0; words[i]; i++)
		fprintf(stderr, "%s %s", i ? "," : "", words[i]);
	fputc('\n', stderr);
	return -EINVAL;
}

static int read_interval(const char *text, double *ret)
{
	char *end;
	double s = strtod(text, &end);

	if (end != text && !*end && s >= INTERVAL_MIN_S && s <= INTERVAL_MAX_S) {
		*ret = s;
		return 0;
	}
	fprintf(stderr, "trimtab top: --interval \"%s\" is wrong; give %g to %d seconds\n", text,
		INTERVAL_MIN_S, INTERVAL_MAX_S);
	return -EINVAL;
}

static int read_option(int c, const char *text, struct options *o)
{
	switch (c) {
	case 'c':
		o->client.config = text;
		return 0;
	case 'S':
		o->client.state_dir = text;
		return 0;
	case 'u':
		o->client.url = text;
		return 0;
	case '1':
		return o->once = true, 0;
	case 'j':
		return o->json = true, 0;
	case 'i':
		return read_interval(text, &o->interval_s);
	case 'd':
		return read_word("direction", text, directions, &o->direction);
	case 's':
		return read_word("sort", text, top_view_orders, &o->order);
	}
	fprintf(stderr, "see trimtab top --help\n");
	return -EINVAL;
}

/* -1: go on; else the exit status */
static int parse(int argc, char **argv, struct options *o)
{
	static const struct option long_options[] = {{"config", required_argument, NULL, 'c'},
						     {"state-dir", required_argument, NULL, 'S'},
						     {"url", required_argument, NULL, 'u'},
						     {"once", no_argument, NULL, '1'},
						     {"json", no_argument, NULL, 'j'},
						     {"interval", required_argument, NULL, 'i'},
						     {"direction", required_argument, NULL, 'd'},
						     {"sort", required_argument, NULL, 's'},
						     {"help", no_argument, NULL, 'h'},
						     {}};
	static char name[] = "trimtab top";
	int c;

	argv[0] = name; /* what getopt's messages begin with */
	optind = 0;	/* the program's own options were read before */
	while ((c = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (c == 'h')
			return help();
		if (read_option(c, optarg, o))
			return EXIT_USAGE;
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "trimtab top: unexpected \"%s\"\n", argv[optind]);
	return EXIT_USAGE;
}

/* --- asking */

/* Where trimtab sees no requests, the answer sends to /api/status for the reason. */
static void find_reason(struct top *t)
{
	char err[CLIENT_ERROR_MAX];
	cJSON *status = NULL;

	if (client_get(&t->client, "/api/status", &status, err, sizeof(err)))
		return;
	top_view_status(&t->view, status);
	cJSON_Delete(status);
	if (t->view.trouble[0])
		snprintf(t->err, sizeof(t->err), "%s: no requests: %s", t->client.url,
			 t->view.trouble);
}

static int get_services(struct top *t, cJSON **ret)
{
	char path[128];
	int code;

	snprintf(path, sizeof(path), "/api/services?limit=%d", TOP_ROWS_MAX);
	if (t->options.direction)
		snprintf(path + strlen(path), sizeof(path) - strlen(path), "&direction=%s",
			 directions[t->options.direction]);
	code = client_get(&t->client, path, ret, t->err, sizeof(t->err));
	if (code == -EIO)
		find_reason(t);
	return code;
}

/* 0 and a new view, or -errno, t->err and the old one. */
static int refresh(struct top *t)
{
	cJSON *services = NULL, *status = NULL;
	int code = get_services(t, &services);

	if (!code)
		code = client_get(&t->client, "/api/status", &status, t->err, sizeof(t->err));
	if (!code && top_view_services(&t->view, services))
		code = client_foreign(&t->client, "no list of services", t->err, sizeof(t->err));
	if (!code) {
		top_view_status(&t->view, status);
		top_view_sort(&t->view, t->options.order);
		t->failing_since = 0;
	} else if (code != -ECANCELED && !t->failing_since) {
		t->failing_since = time(NULL);
	}
	cJSON_Delete(services);
	cJSON_Delete(status);
	return code;
}

static int exit_status(int code, const char *err)
{
	if (code)
		fprintf(stderr, "trimtab: %s\n", err);
	return code == -EINVAL ? EXIT_USAGE : code ? 1 : 0;
}

/* --- once */

/* What a full disk or a closed pipe did not take is an error, not a short table. */
static int finish_output(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	fprintf(stderr, "trimtab: cannot write: %s\n", strerror(errno));
	return 1;
}

static int print_json(struct top *t)
{
	cJSON *services = NULL;
	int code = get_services(t, &services);
	char *text = code ? NULL : cJSON_Print(services);

	if (text)
		puts(text);
	free(text);
	cJSON_Delete(services);
	return code ? exit_status(code, t->err) : finish_output();
}

/* Names of units need UTF-8; what the locale says, whether or not this node has it. */
static bool is_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = getenv(names[i]);

		if (value && *value)
			return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
	}
	return false;
}

static void make_title(const struct top *t, char *ret, size_t size)
{
	char summary[128], since[16] = "";

	top_view_summary(&t->view, summary, sizeof(summary));
	if (t->failing_since)
		strftime(since, sizeof(since), "%T", localtime(&t->failing_since));
	if (t->failing_since)
		snprintf(ret, size, "no answer since %s: %s", since, t->err);
	else
		snprintf(ret, size, "%s: %s", t->client.url, summary);
}

static int print_once(struct top *t)
{
	struct top_screen screen = {.utf8 = is_utf8()};
	char title[CLIENT_ERROR_MAX + 64];
	int code = refresh(t);

	if (code)
		return exit_status(code, t->err);
	make_title(t, title, sizeof(title));
	top_view_print(&t->view, &screen, title, NULL, stdout);
	return finish_output();
}

/* --- live */

static void draw(struct top *t, struct terminal *terminal)
{
	const char *no_colour = getenv("NO_COLOR");
	struct top_screen screen = {.utf8 = is_utf8(), .colour = !no_colour || !*no_colour};
	char title[CLIENT_ERROR_MAX + 64], foot[128], *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return;
	terminal_size(&screen.columns, &screen.lines);
	make_title(t, title, sizeof(title));
	snprintf(foot, sizeof(foot), "q quit   s sort: %s   d direction: %s",
		 top_view_orders[t->options.order], directions[t->options.direction]);
	top_view_print(&t->view, &screen, title, foot, out);
	if (fclose(out) == 0)
		terminal_draw(terminal, text);
	free(text);
}

static void next_word(const char *const *words, size_t *i)
{
	*i = words[*i + 1] ? *i + 1 : 0;
}

/* Whether to go on. ret_asks: what is shown has to be asked for anew. */
static bool take_keys(struct top *t, const char *keys, bool *ret_asks)
{
	for (; *keys; keys++) {
		if (*keys == 'q')
			return false;
		if (*keys == 's') {
			next_word(top_view_orders, &t->options.order);
			top_view_sort(&t->view, t->options.order);
		} else if (*keys == 'd') {
			next_word(directions, &t->options.direction);
			*ret_asks = true;
		}
	}
	return true;
}

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void live(struct top *t, struct terminal *terminal)
{
	const long long interval_ms = (long long)(t->options.interval_s * 1000);
	long long next_ms = now_ms() + interval_ms;
	struct terminal_event event;
	bool asks;

	for (;;) {
		long long left_ms = next_ms - now_ms();

		draw(t, terminal);
		terminal_wait(terminal, left_ms > 0 ? (int)left_ms : 0, &event);
		asks = false;
		if (event.end || !take_keys(t, event.keys, &asks))
			return;
		if (!asks && now_ms() < next_ms)
			continue;
		/* given up for a key or a signal: it is seen to, and then asked again */
		next_ms = refresh(t) == -ECANCELED ? now_ms() : now_ms() + interval_ms;
	}
}

static int run_live(struct top *t)
{
	struct terminal *terminal = NULL;
	int code = refresh(t); /* before the screen is taken: an error stays to be read */

	if (code)
		return exit_status(code, t->err);
	code = terminal_open(&terminal);
	if (code)
		return exit_status(code, strerror(-code));
	t->client.events = terminal_events(terminal);
	live(t, terminal);
	terminal_close(terminal);
	return 0;
}

int top_command(const struct client_options *defaults, int argc, char **argv)
{
	struct options options = {.client = *defaults, .interval_s = 2};
	int status = parse(argc, argv, &options), code;
	struct top *t;

	if (status >= 0)
		return status;
	t = calloc(1, sizeof(*t));
	if (!t)
		return exit_status(-ENOMEM, "no memory");
	t->options = options;
	code = client_find(&options.client, environ, &t->client, t->err, sizeof(t->err));
	if (code)
		status = exit_status(code == -EINVAL ? -EIO : code, t->err);
	else if (options.json)
		status = print_json(t);
	else if (options.once || !terminal_is_there())
		status = print_once(t);
	else
		status = run_live(t);
	client_free(&t->client);
	free(t);
	return status;
}
