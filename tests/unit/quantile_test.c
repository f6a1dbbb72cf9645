/* quantile_test.c - quantiles read from a histogram against the sorted samples themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "hist.h"
#include "store/quantile.h"

#define SAMPLES 20000
#define BOUND_RATIO 0.0443 /* 2^(1/16) - 1 = 0.04427 */

/* quantiles as rank per 10,000, so that the exact rank needs no float */
static const unsigned per_10000[] = {0,	   1,	 100,  500,  700,  1000, 2500, 2800, 5000,
				     5500, 7500, 9000, 9500, 9900, 9990, 9999, 10000};

static uint64_t samples[SAMPLES];

static double random_unit(uint64_t *state) /* in (0, 1] */
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return ((double)(*state >> 11) + 1) * 0x1p-53;
}

static double uniform(uint64_t *r)
{
	return 1e6 * random_unit(r);
}

static double exponential(uint64_t *r)
{
	return -2e6 * log(random_unit(r));
}

static double log_normal(uint64_t *r)
{
	double a = random_unit(r), b = random_unit(r);

	return 3e5 * exp(1.5 * sqrt(-2 * log(a)) * cos(2 * M_PI * b));
}

static double pareto(uint64_t *r)
{
	return 1e4 * pow(random_unit(r), -1 / 1.2);
}

static double two_peaks(uint64_t *r) /* a cache: 90 % quick hits, 10 % slow misses */
{
	return random_unit(r) < 0.9 ? 2e3 + 500 * random_unit(r) : 8e6 + 1e6 * random_unit(r);
}

/* All samples in one bucket, at its lower or its upper edge: the worst case. */
static double low_in_a_bucket(uint64_t *r)
{
	return 1000000001;
}

static double high_in_a_bucket(uint64_t *r)
{
	return 1000000000;
}

static double few_nanoseconds(uint64_t *r)
{
	return 1 + 30 * random_unit(r);
}

static const struct {
	const char *name;
	double (*draw)(uint64_t *r);
} distributions[] = {
    {"uniform", uniform},
    {"exponential", exponential},
    {"log-normal", log_normal},
    {"pareto", pareto},
    {"two peaks", two_peaks},
    {"low in a bucket", low_in_a_bucket},
    {"high in a bucket", high_in_a_bucket},
    {"few nanoseconds", few_nanoseconds},
};

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void add(struct hist *h, uint64_t ns)
{
	h->count[hist_slot(ns)]++;
	h->sum_ns += ns;
}

static void check_against_samples(const struct hist *h, size_t n, const char *name)
{
	qsort(samples, n, sizeof(*samples), by_value);
	for (size_t i = 0; i < sizeof(per_10000) / sizeof(*per_10000); i++) {
		size_t rank = (n * per_10000[i] + 9999) / 10000;
		double truth = (double)samples[rank ? rank - 1 : 0] / 1e9;
		double read = hist_quantile(h, per_10000[i] / 10000.0);

		if (truth > 64)
			truth = 64;
		if (fabs(read - truth) > BOUND_RATIO * truth)
			fail_msg("%s, quantile %g: read %g, true %g", name, per_10000[i] / 1e4,
				 read, truth);
	}
}

static void test_within_the_bound_for_every_distribution(void **state)
{
	for (size_t d = 0; d < sizeof(distributions) / sizeof(*distributions); d++) {
		struct hist h = {0};
		uint64_t random = 0x2545f4914f6cdd1dULL + d;

		for (size_t i = 0; i < SAMPLES; i++) {
			samples[i] = (uint64_t)ceil(distributions[d].draw(&random));
			add(&h, samples[i]);
		}
		assert_int_equal(hist_samples(&h), SAMPLES);
		check_against_samples(&h, SAMPLES, distributions[d].name);
	}
}

/* For each small number of samples: ranks are exact, never one off. */
static void test_rank_is_exact_for_few_samples(void **state)
{
	for (size_t n = 1; n <= 200; n++) {
		struct hist h = {0};

		for (size_t i = 0; i < n; i++) {
			/* 1.1 apart, more than a bucket: the next sample would be off the bound */
			samples[i] = (uint64_t)(100 * pow(1.1, (double)i));
			add(&h, samples[i]);
		}
		check_against_samples(&h, n, "few samples");
	}
}

static void test_a_quantile_lies_in_the_bucket_of_its_sample(void **state)
{
	for (uint32_t slot = 1; slot < HIST_SLOT_OVERFLOW; slot++) {
		struct hist h = {0};

		h.count[slot] = 7;
		for (double q = 0; q <= 1; q += 0.25) {
			double read = hist_quantile(&h, q);

			assert_true(read <= hist_edge_seconds(slot));
			assert_true(slot == 1 || read > hist_edge_seconds(slot - 1));
			assert_true(hist_edge_seconds(slot) / read <= 1 + BOUND_RATIO);
		}
	}
}

static void test_empty_single_zero_and_overflow(void **state)
{
	struct hist h = {0};

	assert_int_equal(hist_samples(&h), 0);
	assert_true(isnan(hist_quantile(&h, 0.5)));
	add(&h, 0);
	assert_true(hist_quantile(&h, 0) == 0);
	assert_true(hist_quantile(&h, 1) == 0);
	add(&h, UINT64_MAX);
	assert_true(hist_quantile(&h, 0.5) == 0);
	assert_true(hist_quantile(&h, 1) == 64);
	assert_true(isnan(hist_quantile(&h, NAN)));
	/* outside of 0 .. 1: the nearest */
	assert_true(hist_quantile(&h, -3) == 0);
	assert_true(hist_quantile(&h, 17) == 64);

	h = (struct hist){0};
	add(&h, 20000000);
	for (double q = 0; q <= 1; q += 0.1)
		assert_true(fabs(hist_quantile(&h, q) - 0.02) <= 0.02 * BOUND_RATIO);
}

static void test_huge_counts(void **state)
{
	struct hist h = {.count = {[10] = UINT64_MAX / 2, [200] = UINT64_MAX / 2}};

	assert_true(hist_quantile(&h, 0.49) < 1e-8);
	assert_true(hist_quantile(&h, 1) > 0.01);
	assert_int_equal(hist_samples(&h), UINT64_MAX - 1);
}

static void test_merge_equals_one_histogram_of_all(void **state)
{
	struct hist parts[3] = {0}, all = {0}, merged = {0};
	uint64_t random = 1234567;

	for (int i = 0; i < 9000; i++) {
		uint64_t ns = (uint64_t)log_normal(&random);

		add(&parts[i % 3], ns);
		add(&all, ns);
	}
	for (int i = 0; i < 3; i++)
		hist_merge(&merged, &parts[i]);
	assert_memory_equal(&merged, &all, sizeof(all));
}

static void test_delta_is_what_came_between(void **state)
{
	struct hist before = {0}, between = {0}, after, delta;
	uint64_t random = 7654321;

	for (int i = 0; i < 5000; i++)
		add(&before, (uint64_t)exponential(&random));
	after = before;
	for (int i = 0; i < 3000; i++) {
		uint64_t ns = (uint64_t)uniform(&random);

		add(&after, ns);
		add(&between, ns);
	}
	hist_delta(&after, &before, &delta);
	assert_memory_equal(&delta, &between, sizeof(between));
	hist_delta(&after, &before, &after); /* in place */
	assert_memory_equal(&after, &between, sizeof(between));
}

static void test_delta_of_a_fallen_slot_is_zero(void **state)
{
	struct hist a = {.sum_ns = 10, .count = {[3] = 5, [4] = 9}};
	struct hist b = {.sum_ns = 11, .count = {[3] = 6, [4] = 2}}, delta;

	hist_delta(&a, &b, &delta);
	assert_int_equal(delta.sum_ns, 0);
	assert_int_equal(delta.count[3], 0);
	assert_int_equal(delta.count[4], 7);
	assert_int_equal(hist_samples(&delta), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_within_the_bound_for_every_distribution),
	    cmocka_unit_test(test_rank_is_exact_for_few_samples),
	    cmocka_unit_test(test_a_quantile_lies_in_the_bucket_of_its_sample),
	    cmocka_unit_test(test_empty_single_zero_and_overflow),
	    cmocka_unit_test(test_huge_counts),
	    cmocka_unit_test(test_merge_equals_one_histogram_of_all),
	    cmocka_unit_test(test_delta_is_what_came_between),
	    cmocka_unit_test(test_delta_of_a_fallen_slot_is_zero),
	};

	return cmocka_run_group_tests_name("quantile", tests, NULL, NULL);
}
