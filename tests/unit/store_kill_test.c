/* store_kill_test.c - a writer of the store is killed at every single instruction.
 *
 * A child does one operation on the shared block under PTRACE_SINGLESTEP. After each instruction
 * the parent takes a copy of the block, which is what a SIGKILL there would leave, opens it and
 * checks that the old series are whole, that the new one is whole or absent, that a counter has not
 * fallen, and that the store goes on. A second test really kills a writer, at random places.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <cmocka.h>
#include "store/store.h"

#define START 1000000000000ULL
#define LATER (START + STORE_STALE_NS)
#define SERIES 6
#define HISTS 2

static const struct metric counter = {"test_bytes_total", METRIC_COUNTER, "device", "Bytes.", ""};
static const struct metric gauge = {"test_open", METRIC_GAUGE, "device", "Open.", ""};
static const struct metric latency = {"test_seconds", METRIC_HISTOGRAM, "device", "Latency.", ""};

static void *map_shared(size_t bytes)
{
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(mem != MAP_FAILED);
	return mem;
}

static const struct series *find(struct store *s, const struct metric *m, const char *device)
{
	char labels[64];

	snprintf(labels, sizeof(labels), "device=\"%s\"", device);
	return store_find(s, LATER, m->name, labels);
}

/* Strictly ascending: nothing is there twice. */
static uint32_t walk(struct store *s)
{
	const struct series *x, *before = NULL;
	uint32_t n = 0;

	for (size_t cursor = 0; (x = store_next(s, LATER, &cursor)); before = x, n++) {
		int order = before ? strcmp(before->metric->name, x->metric->name) : -1;

		assert_true(order < 0 || (order == 0 && strcmp(before->labels, x->labels) < 0));
		assert_ptr_equal(store_find(s, LATER, x->metric->name, x->labels), x);
	}
	return n;
}

/* --- the operations, and what must hold whenever they are cut short */

static void prepare_empty(struct store *s)
{
}

static void prepare_series(struct store *s)
{
	store_set(s, &counter, LATER, 100, "device", "old", NULL);
	store_set(s, &counter, LATER, 40, "device", "old", NULL);
	store_hist(s, &latency, LATER, "device", "old", NULL)->sum_ns = 77;
}

/* Full of stale series, with one histogram: the next one takes the place of another. */
static void prepare_full(struct store *s)
{
	char device[16];

	store_hist(s, &latency, START, "device", "stale", NULL)->sum_ns = 5;
	for (int i = 0; i < SERIES - 3; i++) {
		snprintf(device, sizeof(device), "stale%d", i);
		store_set(s, &gauge, START, 1, "device", device, NULL);
	}
	prepare_series(s);
	assert_int_equal(walk(s), 2);
}

static void set_new(struct store *s)
{
	store_set(s, &gauge, LATER, 42, "device", "new", NULL);
}

static void set_new_counter(struct store *s)
{
	store_set(s, &counter, LATER, 42, "device", "new", NULL);
}

static void hist_new(struct store *s)
{
	store_hist(s, &latency, LATER, "device", "new", NULL);
}

static void set_old_fallen_and_risen(struct store *s)
{
	store_set(s, &counter, LATER, 3, "device", "old", NULL);
	store_set(s, &counter, LATER, 5, "device", "old", NULL);
}

static void walk_new(struct store *s)
{
	size_t cursor = 0;

	set_new(s);
	while (store_next(s, LATER, &cursor))
		;
}

static void check_old(struct store *s)
{
	const struct series *x = find(s, &counter, "old");

	assert_non_null(x);
	assert_true(x->value == 100 || x->value == 102);
	x = find(s, &latency, "old");
	assert_non_null(x);
	assert_int_equal(store_series_hist(s, x)->sum_ns, 77);
}

static void check_new(struct store *s)
{
	const struct series *x = find(s, &gauge, "new");

	check_old(s);
	assert_true(!x || x->value == 42);
}

static void check_new_counter(struct store *s)
{
	const struct series *x = find(s, &counter, "new");

	check_old(s);
	assert_true(!x || x->value == 42);
}

static void check_new_hist(struct store *s)
{
	const struct series *x = find(s, &latency, "new");
	static const struct hist empty;

	check_old(s);
	if (x)
		assert_memory_equal(store_series_hist(s, x), &empty, sizeof(empty));
}

static void check_nothing(struct store *s)
{
}

static const struct scenario {
	const char *name;
	bool garbage; /* the block is foreign: the operation opens it */
	void (*prepare)(struct store *s);
	void (*act)(struct store *s);
	void (*check)(struct store *s);
} scenarios[] = {
    {"a gauge is made", false, prepare_series, set_new, check_new},
    {"a counter is made", false, prepare_series, set_new_counter, check_new_counter},
    {"a histogram is made", false, prepare_series, hist_new, check_new_hist},
    {"a gauge replaces a stale series", false, prepare_full, set_new, check_new},
    {"a histogram replaces a stale one", false, prepare_full, hist_new, check_new_hist},
    {"a total falls and rises", false, prepare_series, set_old_fallen_and_risen, check_old},
    {"a walk takes in a new series", false, prepare_series, walk_new, check_new},
    {"the block is formatted", true, prepare_empty, set_new, check_nothing},
    {"the store is opened again", false, prepare_full, NULL, check_old},
};

/* The store takes SERIES series and HISTS histograms more, once the others are stale. */
static void check_goes_on(struct store *s)
{
	uint64_t now_ns = LATER + STORE_STALE_NS;
	struct store_stats stats;
	size_t cursor = 0;
	uint32_t n = 0;
	char device[16];

	for (int i = 0; i < SERIES; i++) {
		snprintf(device, sizeof(device), "go%d", i);
		if (i < HISTS)
			store_hist(s, &latency, now_ns, "device", device, NULL);
		else
			store_set(s, &gauge, now_ns, i, "device", device, NULL);
	}
	while (store_next(s, now_ns, &cursor))
		n++;
	assert_int_equal(n, SERIES);
	store_get_stats(s, &stats);
	assert_int_equal(stats.series, SERIES);
	assert_int_equal(stats.hists, HISTS);
	assert_int_equal(stats.dropped, 0);
}

static void child(const struct scenario *sc, void *mem, size_t bytes)
{
	struct store *s = mem;

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		_exit(77);
	raise(SIGSTOP);
	if (sc->garbage || !sc->act)
		s = store_open(mem, bytes, SERIES, HISTS);
	if (sc->act)
		sc->act(s);
	_exit(0);
}

/* Steps the child to its end; returns the number of different states that were checked, or -1 if
 * this machine does not allow tracing. */
static long step(const struct scenario *sc, pid_t pid, const void *mem, size_t bytes)
{
	void *seen = map_shared(bytes), *scratch = map_shared(bytes);
	long states = 0;
	int status;

	memcpy(seen, mem, bytes);
	for (;;) {
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status))
			break;
		assert_true(WIFSTOPPED(status));
		if (states == 0 || memcmp(seen, mem, bytes) != 0) {
			struct store *s;

			states++;
			memcpy(seen, mem, bytes);
			memcpy(scratch, mem, bytes);
			s = store_open(scratch, bytes, SERIES, HISTS);
			assert_non_null(s);
			sc->check(s);
			walk(s);
			check_goes_on(s);
		}
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
	}
	munmap(seen, bytes);
	munmap(scratch, bytes);
	return WEXITSTATUS(status) == 77 ? -1 : states;
}

static void test_killed_at_each_instruction(void **state)
{
	size_t bytes = store_size(SERIES, HISTS);

	for (size_t i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++) {
		void *mem = map_shared(bytes);
		long states;
		pid_t pid;

		if (scenarios[i].garbage)
			memset(mem, 0x5a, bytes);
		else
			scenarios[i].prepare(store_open(mem, bytes, SERIES, HISTS));
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			child(&scenarios[i], mem, bytes);
		states = step(&scenarios[i], pid, mem, bytes);
		if (states < 0)
			skip();
		print_message("%s: %ld states\n", scenarios[i].name, states);
		assert_true(states > 1);
		munmap(mem, bytes);
	}
}

/* --- a real kill: the writer makes, drops and replaces series as fast as it can */

struct churn {
	uint64_t now_ns, rounds, total;
};

static void churn(struct store *s, volatile struct churn *c)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (uint64_t i = c->rounds;; i++) {
		char device[32];

		snprintf(device, sizeof(device), "d%d", (int)(i * 7919 % 50));
		c->now_ns += STORE_STALE_NS / 4;
		store_set(s, &counter, c->now_ns, (double)i, "device", "kept", NULL);
		c->total = i;
		if (i % 2)
			store_set(s, &gauge, c->now_ns, (double)i, "device", device, NULL);
		else
			store_hist(s, &latency, c->now_ns, "device", device, NULL);
		c->rounds = i;
	}
}

static void test_killed_at_random(void **state)
{
	size_t bytes = store_size(SERIES, HISTS);
	volatile struct churn *c = map_shared(sizeof(*c));
	void *mem = map_shared(bytes);
	struct store_stats stats;

	c->now_ns = START;
	srandom(1);
	for (int i = 0; i < 200; i++) {
		struct store *s = store_open(mem, bytes, SERIES, HISTS);
		uint64_t until = c->rounds + (uint64_t)random() % 5000;
		uint64_t rounds = c->rounds;
		const struct series *kept;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			churn(s, c);
		while (c->rounds < until && waitpid(pid, NULL, WNOHANG) == 0)
			sched_yield();
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		s = store_open(mem, bytes, SERIES, HISTS);
		kept = store_find(s, c->now_ns, counter.name, "device=\"kept\"");
		assert_true(kept || !rounds);
		assert_true(!kept || kept->value >= (double)c->total);
		store_get_stats(s, &stats);
		assert_true(stats.series <= SERIES && stats.hists <= HISTS);
	}
	assert_true(c->rounds > 0);
	munmap(mem, bytes);
	munmap((void *)c, sizeof(*c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_killed_at_each_instruction),
	    cmocka_unit_test(test_killed_at_random),
	};

	return cmocka_run_group_tests_name("store killed", tests, NULL, NULL);
}
