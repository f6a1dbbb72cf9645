/* load.c - makes exactly the load that it is told to and says in one JSON line what it did.
 *
 * The counts are the truth that tests hold trimtab against, so each is checked: a call that does
 * not end as its kind must ends the program with status 1. Where a duration matters, each call is
 * also timed from outside and the line gives the smallest, the median, the largest and the sum, and
 * how much of the time of the loop the thread ran (cpu_ns) or waited for a CPU (run_delay_ns): what
 * is left of the sum is the time that it was blocked.
 *
 * In:      command line only (usage below); addresses are numeric IPv4 or IPv6, or a unix socket's
 *          absolute path
 * Out:     one JSON line on standard output (get: the body instead), errors on standard error;
 *          0 done as told, 1 failed, 2 wrong usage
 * Bounds:  counts to 2^32, timed calls to 10^6, held connections to 16,384, sizes to 16 MiB
 * Needs:   libc only, also -static: it runs in the initramfs of the kernel matrix too
 */
#define _GNU_SOURCE
#include "load.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static const struct command {
	const char *name;
	int args_min, args_max;
	int (*run)(struct load *l);
	const char *usage;
} commands[] = {
    {"call", 2, 3, run_call, "NAME N [US]   N syscalls; US apart, or asleep if NAME sleeps"},
    {"threads", 3, 4, run_threads, "NAME N THREADS [US] [--migrate]   N in each thread"},
    {"pattern", 4, 4, run_pattern, "NAME N steady|burst|poisson SECONDS [--seed S]"},
    {"pingpong", 1, 1, run_pingpong, "N [--cpu A B]   round trips of two processes"},
    {"sleep", 2, 2, run_sleep, "N MS   clock_nanosleep"},
    {"pipe_wait", 2, 2, run_pipe_wait, "N MS   reads that wait for a writer that sleeps MS"},
    {"pipe_readv", 2, 2, run_pipe_readv, "N MS   the same with readv"},
    {"epoll_wait", 2, 2, run_epoll_wait, "N MS   that time out"},
    {"epoll_pwait2", 2, 2, run_epoll_pwait2, "N MS   that time out"},
    {"futex_wait", 2, 2, run_futex_wait, "N MS   that time out"},
    {"write", 3, 3, run_write, "FILE N SIZE [--direct] [--dsync] [--read] [--fsync, after each]"},
    {"discard", 3, 3, run_discard, "DEVICE N SIZE"},
    {"connect", 3, 3, run_connect,
     "ADDR PORT N [--hold MS, all at once] [--bytes B] [--rst] [--timeout MS]"},
    {"refused", 3, 3, run_refused, "ADDR PORT N"},
    {"listen", 3, 3, run_listen,
     "ADDR PORT N [--backlog B] [--no-accept] [--delay MS] [--seconds S]"},
    {"serve", 4, 4, run_serve,
     "redis|http ADDR PORT N [--delay MS] [--defer, accepts with the first bytes]\n"
     "             answers, N connections"},
    {"ask", 4, 4, run_ask,
     "redis|http ADDR PORT N [--pipeline P] [--bytes B] [--connections C, N on each]\n"
     "             [--fail K, every Kth] [--cut, the server ends it without an answer]"},
    {"get", 3, 3, run_get, "ADDR PORT PATH [--timeout MS]   an HTTP body, to standard output"},
    {"spin", 1, 1, run_spin, "SECONDS"},
    {"fork", 1, 1, run_fork, "N   one after the other"},
};

static int usage(FILE *out)
{
	fprintf(out, "usage: load COMMAND ... [--cpu C]\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].usage);
	call_names_print(out);
	return out == stdout ? 0 : 2;
}

/* Takes option argv[*i] and its values; false if it is none or a value is wrong. */
static bool option_take(struct load *l, int argc, char **argv, int *i)
{
	const struct {
		const char *name;
		bool *flag;
		uint64_t *value;
		uint64_t max;
	} options[] = {
	    {"--direct", .flag = &l->direct},
	    {"--dsync", .flag = &l->dsync},
	    {"--read", .flag = &l->read},
	    {"--fsync", .flag = &l->fsync},
	    {"--rst", .flag = &l->rst},
	    {"--no-accept", .flag = &l->no_accept},
	    {"--migrate", .flag = &l->migrate},
	    {"--cut", .flag = &l->cut},
	    {"--defer", .flag = &l->defer},
	    {"--hold", .value = &l->hold_ms, .max = 3600000},
	    {"--bytes", .value = &l->bytes, .max = 1ULL << 40},
	    {"--backlog", .value = &l->backlog, .max = 65535},
	    {"--delay", .value = &l->delay_ms, .max = 3600000},
	    {"--timeout", .value = &l->timeout_ms, .max = 3600000},
	    {"--seconds", .value = &l->seconds, .max = 3600},
	    {"--connections", .value = &l->connections, .max = COUNT_MAX},
	    {"--pipeline", .value = &l->pipeline, .max = 1024},
	    {"--fail", .value = &l->fail, .max = COUNT_MAX},
	    {"--seed", .value = &l->seed, .max = UINT64_MAX},
	};
	uint64_t v;

	for (size_t k = 0; k < sizeof(options) / sizeof(options[0]); k++) {
		if (strcmp(argv[*i], options[k].name))
			continue;
		if (options[k].flag)
			return *options[k].flag = true;
		return ++*i < argc && number(argv[*i], options[k].max, options[k].value);
	}
	if (strcmp(argv[*i], "--cpu"))
		return false;
	for (int k = 0; k < (!strcmp(argv[1], "pingpong") ? 2 : 1); k++) {
		if (++*i >= argc || !number(argv[*i], CPU_SETSIZE - 1, &v))
			return false;
		l->cpu[k] = (int)v;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct load l = {.cpu = {-1, -1},
			 .backlog = 128,
			 .timeout_ms = 5000,
			 .seconds = 60,
			 .connections = 1,
			 .pipeline = 1};
	const struct command *c = NULL;
	int kept = 0, r;

	if (argc > 1 && !strcmp(argv[1], "--help"))
		return usage(stdout);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]) && argc > 1; i++)
		if (!strcmp(argv[1], commands[i].name))
			c = &commands[i];
	if (!c)
		return usage(stderr);
	for (int i = 2; i < argc; i++) {
		if (strncmp(argv[i], "--", 2))
			argv[2 + kept++] = argv[i];
		else if (!option_take(&l, argc, argv, &i))
			return bad("wrong option or value", argv[i < argc ? i : argc - 1]);
	}
	l.arg = argv + 2;
	l.args = kept;
	if (kept < c->args_min || kept > c->args_max)
		return usage(stderr);
	r = pin(l.cpu[0]);
	return r ? fail(-r, "--cpu") : c->run(&l);
}
