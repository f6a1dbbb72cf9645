/* common.c - what the commands share: see load.h. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S),
				 .tv_nsec = (long)(ns % NS_PER_S)};
}

int fail(int error, const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(error));
	return 1;
}

int bad(const char *what, const char *text)
{
	fprintf(stderr, "load: %s: \"%s\"; see load --help\n", what, text);
	return 2;
}

bool number(const char *text, uint64_t max, uint64_t *ret)
{
	char *end;
	uint64_t v;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || v > max)
		return false;
	*ret = v;
	return true;
}

int pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

int compare_ns(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* How long this thread was runnable without a CPU; 0 on a kernel that does not say. */
static uint64_t run_delay_ns(void)
{
	uint64_t delay_ns = 0;
	FILE *f = fopen("/proc/thread-self/schedstat", "re");

	if (!f)
		return 0;
	if (fscanf(f, "%*u %" SCNu64, &delay_ns) != 1)
		delay_ns = 0;
	fclose(f);
	return delay_ns;
}

bool timed_new(struct timed *t, uint64_t n)
{
	t->n = 0;
	t->run_delay_ns = run_delay_ns();
	t->cpu_ns = cpu_ns();
	t->ns = n <= TIMED_MAX ? calloc(n + 1, sizeof(*t->ns)) : NULL;
	if (!t->ns)
		fprintf(stderr, "load: at most %llu timed calls\n", TIMED_MAX);
	return t->ns != NULL;
}

void timed_print(struct timed *t)
{
	uint64_t sum = 0, cpu = cpu_ns() - t->cpu_ns;

	qsort(t->ns, t->n, sizeof(*t->ns), compare_ns);
	for (size_t i = 0; i < t->n; i++)
		sum += t->ns[i];
	printf(",\"call_ns_min\":%" PRIu64 ",\"call_ns_median\":%" PRIu64
	       ",\"call_ns_max\":%" PRIu64 ",\"call_ns_sum\":%" PRIu64 ",\"cpu_ns\":%" PRIu64
	       ",\"run_delay_ns\":%" PRIu64,
	       t->ns[0], t->n ? t->ns[t->n / 2] : 0, t->n ? t->ns[t->n - 1] : 0, sum, cpu,
	       run_delay_ns() - t->run_delay_ns);
	free(t->ns);
}

int done(uint64_t start_ns)
{
	printf(",\"elapsed_ns\":%" PRIu64 "}\n", now_ns() - start_ns);
	return fflush(stdout) ? 1 : 0;
}

void spin_until(uint64_t ns)
{
	while (now_ns() < ns)
		;
}

bool child_done(pid_t pid)
{
	int status = 0;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status);
}
