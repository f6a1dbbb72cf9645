/* estimate_test.c - rates estimated from random windows: how often the interval holds the truth, in
 * simulated runs with a fixed seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <cmocka.h>
#include "store/estimate.h"

#define RUNS 1000
#define COVERAGE 0.97
#define PERIOD_S 0.05
#define WINDOW_S 0.005
#define TICK_S 0.2
#define RUN_S (ESTIMATE_TICKS * TICK_S)
#define EVENTS_MAX 20000

static uint64_t random_state;

static double random_unit(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15ULL; /* splitmix64 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static int order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Each fills at[] with n moments within RUN_S. */
static void steady(double *at, int n)
{
	for (int i = 0; i < n; i++)
		at[i] = RUN_S * (i + 0.5) / n;
}

static void poisson(double *at, int n)
{
	for (int i = 0; i < n; i++)
		at[i] = RUN_S * random_unit();
}

/* a load in step with the mean period of the windows */
static void in_step(double *at, int n)
{
	const int beats = RUN_S / PERIOD_S;

	for (int i = 0; i < n; i++)
		at[i] = PERIOD_S * (i % beats) + 1e-5 * (i / beats);
}

/* bursts of ten calls, 20 us apart */
static void bursts(double *at, int n)
{
	double start = 0;

	for (int i = 0; i < n; i++) {
		if (i % 10 == 0)
			start = RUN_S * random_unit();
		at[i] = start + 20e-6 * (i % 10);
	}
}

/* a rate that doubles over the run */
static void rising(double *at, int n)
{
	for (int i = 0; i < n; i++)
		at[i] = RUN_S * (sqrt(1 + 3 * random_unit()) - 1);
}

/* The moments of at[] from *cursor on that lie in a stretch of time. */
static int events_between(const double *at, int n, double from, double to, int *cursor)
{
	int seen = 0;

	while (*cursor < n && at[*cursor] < from)
		++*cursor;
	while (*cursor < n && at[*cursor] < to) {
		++*cursor;
		seen++;
	}
	return seen;
}

/* Windows as the keeper opens them, after random pauses. */
struct window {
	double start, end;
};

static struct window next_window(double after)
{
	double start = after + 2 * (PERIOD_S - WINDOW_S) * random_unit();

	return (struct window){start, start + WINDOW_S};
}

/* What is seen within a tick, which may cut a window in two. */
static uint64_t observe_tick(struct window *w, double end, const double *at, int n, int *cursor,
			     double *ret_observed_s)
{
	uint64_t seen = 0;

	*ret_observed_s = 0;
	while (w->start < end) {
		double to = w->end < end ? w->end : end;

		seen += events_between(at, n, w->start, to, cursor);
		*ret_observed_s += to - w->start;
		if (w->end > end)
			w->start = end;
		else
			*w = next_window(w->end);
	}
	return seen;
}

/* Whether the interval of one run holds the rate of its n events. */
static bool one_run(void (*pattern)(double *at, int n), int n, bool *ret_useful)
{
	static double at[EVENTS_MAX];
	struct estimate_clock clock = {};
	struct estimate_counts counts = {};
	struct window w;
	int cursor = 0;
	double rate, error, observed_s;

	pattern(at, n);
	qsort(at, n, sizeof(*at), order);
	w = next_window(-10 * PERIOD_S * random_unit());
	while (w.end < 0)
		w = next_window(w.end);
	w.start = w.start < 0 ? 0 : w.start;
	for (int tick = 0; tick < ESTIMATE_TICKS; tick++) {
		uint64_t seen = observe_tick(&w, (tick + 1) * TICK_S, at, n, &cursor, &observed_s);

		estimate_tick(&clock, observed_s, TICK_S);
		estimate_note(&clock, &counts, seen);
	}
	assert_true(estimate_rate(&clock, &counts, &rate, &error));
	assert_false(isnan(error));
	*ret_useful = error < rate;
	return fabs(rate - n / RUN_S) <= error;
}

static void coverage(const char *name, void (*pattern)(double *at, int n), int n, bool useful)
{
	int holds = 0, narrow = 0;

	random_state = 42;
	for (int i = 0; i < RUNS; i++) {
		bool is_narrow;

		holds += one_run(pattern, n, &is_narrow);
		narrow += is_narrow;
	}
	print_message("%s, %d events: %d of %d intervals hold the truth\n", name, n, holds, RUNS);
	assert_true(holds >= COVERAGE * RUNS);
	/* an interval that says nothing would hold the truth too */
	if (useful)
		assert_true(narrow >= 0.99 * RUNS);
}

static void test_coverage(void **state)
{
	coverage("steady", steady, 640, true);
	coverage("steady", steady, 12800, true);
	coverage("poisson", poisson, 320, true);
	coverage("poisson", poisson, 2560, true);
	coverage("poisson", poisson, 16000, true);
	coverage("bursts", bursts, 2560, true);
	coverage("bursts", bursts, 16000, true);
	coverage("rising", rising, 2560, true);
	coverage("in step", in_step, 1280, false);
}

/* A handful of events: the interval is wide, but it holds. */
static void test_coverage_of_the_rare(void **state)
{
	coverage("poisson", poisson, 20, false);
	coverage("poisson", poisson, 64, false);
}

static void test_nothing_observed(void **state)
{
	struct estimate_clock clock = {};
	struct estimate_counts counts = {};
	double rate = 7, error = 7;

	assert_false(estimate_rate(&clock, &counts, &rate, &error));
	estimate_tick(&clock, 0, 1);
	estimate_note(&clock, &counts, 0);
	assert_false(estimate_rate(&clock, &counts, &rate, &error));
	assert_true(rate == 7 && error == 7);
	assert_true(estimate_observed_ratio(&clock) == 0);
}

static void test_exact_mode_has_no_error(void **state)
{
	struct estimate_clock clock = {};
	struct estimate_counts counts = {};
	double rate, error;

	for (int i = 0; i < 3 * ESTIMATE_TICKS; i++) {
		estimate_tick(&clock, 2, 2);
		estimate_note(&clock, &counts, 100 + i % 2);
	}
	assert_true(estimate_rate(&clock, &counts, &rate, &error));
	assert_true(fabs(rate - 50.25) < 1e-9 && error == 0);
	assert_true(estimate_observed_ratio(&clock) == 1);
}

static void test_too_few_ticks_make_no_error(void **state)
{
	struct estimate_clock clock = {};
	struct estimate_counts counts = {};
	double rate, error;

	for (int i = 1; i < ESTIMATE_TICKS_MIN; i++) {
		estimate_tick(&clock, 0.2, 2);
		estimate_note(&clock, &counts, 10);
	}
	assert_true(estimate_rate(&clock, &counts, &rate, &error));
	assert_true(fabs(rate - 50) < 1e-9 && isnan(error));
	estimate_tick(&clock, 0.2, 2);
	estimate_note(&clock, &counts, 10);
	assert_true(estimate_rate(&clock, &counts, &rate, &error));
	assert_true(!isnan(error) && error > 0);
	assert_true(fabs(estimate_observed_ratio(&clock) - 0.1) < 1e-9);
}

/* Ticks older than those kept have no part in it. */
static void test_forgets(void **state)
{
	struct estimate_clock clock = {};
	struct estimate_counts counts = {};
	double rate, error;

	for (int i = 0; i < 5 * ESTIMATE_TICKS; i++) {
		estimate_tick(&clock, 0.2, 2);
		estimate_note(&clock, &counts, 1000);
	}
	for (int i = 0; i < ESTIMATE_TICKS; i++) {
		estimate_tick(&clock, 0.2, 2);
		estimate_note(&clock, &counts, 10);
	}
	assert_true(estimate_rate(&clock, &counts, &rate, &error));
	assert_true(fabs(rate - 50) < 1e-9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_coverage),
	    cmocka_unit_test(test_coverage_of_the_rare),
	    cmocka_unit_test(test_nothing_observed),
	    cmocka_unit_test(test_exact_mode_has_no_error),
	    cmocka_unit_test(test_too_few_ticks_make_no_error),
	    cmocka_unit_test(test_forgets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
