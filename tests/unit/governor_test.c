/* governor_test.c - what is shed when the BPF half costs too much, and given back when it does not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "core/config.h"
#include "core/governor.h"

#define BUDGET 0.01

/* Feeds the same sample n times; returns how often the level changed. */
static int feed(struct governor *g, double ratio, int n)
{
	int changes = 0;

	for (int i = 0; i < n; i++)
		changes += governor_step(g, ratio, BUDGET);
	return changes;
}

static void test_nothing_is_shed_within_budget(void **state)
{
	struct governor g = {};

	assert_int_equal(feed(&g, BUDGET, 1000), 0);
	assert_int_equal(feed(&g, 0, 1000), 0);
	assert_int_equal(g.level, 0);
}

static void test_a_level_is_shed_after_patience(void **state)
{
	struct governor g = {};

	assert_int_equal(feed(&g, 2 * BUDGET, GOVERNOR_PATIENCE - 1), 0);
	assert_true(governor_step(&g, 2 * BUDGET, BUDGET));
	assert_int_equal(g.level, 1);
	/* the next one needs patience anew */
	assert_int_equal(feed(&g, 2 * BUDGET, GOVERNOR_PATIENCE - 1), 0);
	assert_true(governor_step(&g, 2 * BUDGET, BUDGET));
	assert_int_equal(g.level, 2);
}

static void test_a_peak_sheds_nothing(void **state)
{
	struct governor g = {};

	for (int i = 0; i < 100; i++) {
		assert_int_equal(feed(&g, 9 * BUDGET, GOVERNOR_PATIENCE - 1), 0);
		assert_false(governor_step(&g, 0.9 * BUDGET, BUDGET));
	}
	assert_int_equal(g.level, 0);
}

static void test_levels_end(void **state)
{
	struct governor g = {};

	assert_int_equal(feed(&g, 1, 1000), governor_levels_n - 1);
	assert_int_equal(g.level, governor_levels_n - 1);
	assert_int_equal(feed(&g, 0, 100000), governor_levels_n - 1);
	assert_int_equal(g.level, 0);
}

static void test_given_back_slowly(void **state)
{
	struct governor g = {.level = 2};

	assert_int_equal(feed(&g, BUDGET / 4, GOVERNOR_RECOVERY - 1), 0);
	assert_true(governor_step(&g, BUDGET / 4, BUDGET));
	assert_int_equal(g.level, 1);
	/* between half of the budget and all of it the level stays */
	assert_int_equal(feed(&g, 0.7 * BUDGET, 1000), 0);
	assert_int_equal(g.level, 1);
	/* and such a sample begins the wait anew */
	assert_int_equal(feed(&g, 0, GOVERNOR_RECOVERY - 1), 0);
	assert_false(governor_step(&g, 0.7 * BUDGET, BUDGET));
	assert_int_equal(feed(&g, 0, GOVERNOR_RECOVERY - 1), 0);
	assert_true(governor_step(&g, 0, BUDGET));
	assert_int_equal(g.level, 0);
}

/* Each level keeps what the one before shed. */
static void test_levels_are_in_order(void **state)
{
	assert_int_equal(governor_levels[0].syscall_limit, SYSCALL_EXACT);
	for (uint32_t i = 1; i < governor_levels_n; i++) {
		const struct governor_level *a = &governor_levels[i - 1], *b = &governor_levels[i];

		assert_true(b->syscall_limit <= a->syscall_limit);
		assert_true(b->sweep_stretch >= a->sweep_stretch);
		assert_true(b->sched_off >= a->sched_off);
		if (b->syscall_limit == a->syscall_limit)
			assert_true(b->window_stretch >= a->window_stretch);
		assert_true(b->window_stretch > 0 && b->sweep_stretch > 0);
		assert_non_null(b->about);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_nothing_is_shed_within_budget),
	    cmocka_unit_test(test_a_level_is_shed_after_patience),
	    cmocka_unit_test(test_a_peak_sheds_nothing),
	    cmocka_unit_test(test_levels_end),
	    cmocka_unit_test(test_given_back_slowly),
	    cmocka_unit_test(test_levels_are_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
