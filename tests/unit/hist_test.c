/* hist_test.c - hist.h against exact integer arithmetic.
 *
 * The upper edge of slot s is 10^9 2^((s - 240)/8) ns, so v <= edge exactly if
 * v^8 <= 10^72 2^(s - 240). Both sides are whole numbers of at most 768 bits once the power of two
 * stands on the side where its exponent is positive: no float and nothing of hist.h is used.
 */
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

#define LIMBS 24

struct big {
	uint64_t limb[LIMBS]; /* least significant first */
};

static void big_multiply(struct big *b, uint64_t by)
{
	uint64_t carry = 0;

	for (int i = 0; i < LIMBS; i++) {
		unsigned __int128 p = (unsigned __int128)b->limb[i] * by + carry;

		b->limb[i] = (uint64_t)p;
		carry = (uint64_t)(p >> 64);
	}
	assert_int_equal(carry, 0);
}

static void big_shift(struct big *b, int bits)
{
	for (; bits >= 60; bits -= 60)
		big_multiply(b, 1ULL << 60);
	big_multiply(b, 1ULL << bits);
}

static int big_compare(const struct big *a, const struct big *b)
{
	for (int i = LIMBS - 1; i >= 0; i--)
		if (a->limb[i] != b->limb[i])
			return a->limb[i] < b->limb[i] ? -1 : 1;
	return 0;
}

/* a^8 compared with 10^72 2^exponent; -1, 0, 1 */
static int compare_8th_power(uint64_t a, int exponent)
{
	struct big left = {{1}}, right = {{1}};

	for (int i = 0; i < 8; i++)
		big_multiply(&left, a);
	for (int i = 0; i < 8; i++)
		big_multiply(&right, 1000000000);
	big_shift(exponent < 0 ? &left : &right, abs(exponent));
	return big_compare(&left, &right);
}

static int above_edge(uint64_t ns, uint32_t slot)
{
	return compare_8th_power(ns, (int)slot - 240) > 0;
}

static uint32_t reference_slot(uint64_t ns)
{
	uint32_t low = 1, high = 289;

	if (ns == 0)
		return 0;
	if (ns > 64000000000ULL)
		return 289;
	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (above_edge(ns, middle))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* the largest whole number of nanoseconds that is not above the edge of a slot */
static uint64_t floor_of_edge(uint32_t slot)
{
	uint64_t low = 0, high = 64000000001ULL;

	while (high - low > 1) {
		uint64_t middle = (low + high) / 2;

		if (above_edge(middle, slot))
			high = middle;
		else
			low = middle;
	}
	return low;
}

static void check(uint64_t ns)
{
	assert_int_equal(hist_slot(ns), reference_slot(ns));
}

/* xorshift64: the same numbers in each run */
static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void test_index_at_below_and_above_each_edge(void **state)
{
	for (uint32_t slot = 1; slot < HIST_SLOT_OVERFLOW; slot++) {
		uint64_t edge = floor_of_edge(slot);

		assert_true(edge >= 1);
		assert_true(hist_slot(edge) <= slot);
		assert_true(hist_slot(edge + 1) > slot);
		check(edge - 1);
		check(edge);
		check(edge + 1);
	}
	/* from here on each slot holds a whole number: it must be found at its own edge */
	for (uint32_t slot = 30; slot < HIST_SLOT_OVERFLOW; slot++)
		assert_int_equal(hist_slot(floor_of_edge(slot)), slot);
}

static void test_edges_that_are_whole_numbers_are_inclusive(void **state)
{
	uint64_t ns = 64000000000ULL;

	for (uint32_t slot = 288;; slot -= 8, ns /= 2) {
		assert_int_equal(compare_8th_power(ns, (int)slot - 240), 0);
		assert_int_equal(hist_slot(ns), slot);
		assert_int_equal(hist_slot(ns + 1), slot + 1);
		if (ns % 2)
			break;
	}
}

/* hist_cuts[j] is floor(2^63 2^((j + x)/8)): exact, not just right for the values tried */
static void test_each_cut_is_the_exact_mantissa(void **state)
{
	for (int j = 0; j < 8; j++) {
		/* the edge of slot 233 + j lies in the octave of 2^29 ns; its mantissa is 2^34 as
		 * large, so its 8th power is 10^72 2^(j - 7 + 272) */
		int exponent = j - 7 + 272;

		assert_true(compare_8th_power(hist_cuts[j], exponent) <= 0);
		assert_true(compare_8th_power(hist_cuts[j] + 1, exponent) > 0);
	}
}

static void test_powers_of_two_and_extremes(void **state)
{
	for (int bit = 0; bit < 64; bit++) {
		check((1ULL << bit) - 1);
		check(1ULL << bit);
		check((1ULL << bit) + 1);
	}
	assert_int_equal(hist_slot(0), 0);
	assert_int_equal(hist_slot(1), 1);
	assert_int_equal(hist_slot(64000000000ULL), 288);
	assert_int_equal(hist_slot(64000000001ULL), HIST_SLOT_OVERFLOW);
	assert_int_equal(hist_slot(UINT64_MAX), HIST_SLOT_OVERFLOW);
}

static void test_random_values(void **state)
{
	uint64_t random = 88172645463325252ULL;

	for (int i = 0; i < 40000; i++) {
		uint64_t ns = random_next(&random);

		check(ns >> (28 + random_next(&random) % 36));
	}
}

static void test_never_falls(void **state)
{
	uint32_t slot = 0;

	for (uint64_t ns = 0; ns < 3000000; ns++) {
		assert_true(hist_slot(ns) >= slot);
		slot = hist_slot(ns);
	}
	for (uint64_t ns = 3000000; ns < 70000000000ULL; ns += 1 + ns / 5000) {
		assert_true(hist_slot(ns) >= slot);
		slot = hist_slot(ns);
	}
	assert_int_equal(slot, HIST_SLOT_OVERFLOW);
}

/* hist_edge_seconds() is the double nearest to 2^((s - 240)/8): half a unit below it in the last
 * place is below the true edge, half a unit above it is above. */
static void test_edge_in_seconds_is_rounded_right(void **state)
{
	assert_true(hist_edge_seconds(0) == 0);
	assert_true(isinf(hist_edge_seconds(HIST_SLOT_OVERFLOW)));
	for (uint32_t slot = 1; slot < HIST_SLOT_OVERFLOW; slot++) {
		int exponent, sign;
		/* twice the mantissa: edge = mantissa 2^(exponent - 54) */
		uint64_t mantissa = (uint64_t)ldexp(frexp(hist_edge_seconds(slot), &exponent), 54);

		for (sign = -1; sign <= 1; sign += 2) {
			struct big half = {{1}}, edge = {{1}};
			int left = 8 * (exponent - 54), right = (int)slot - 240;

			for (int i = 0; i < 8; i++)
				big_multiply(&half, mantissa + (uint64_t)(int64_t)sign);
			big_shift(left > right ? &half : &edge, abs(left - right));
			assert_int_equal(big_compare(&half, &edge), sign);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_index_at_below_and_above_each_edge),
	    cmocka_unit_test(test_edges_that_are_whole_numbers_are_inclusive),
	    cmocka_unit_test(test_each_cut_is_the_exact_mantissa),
	    cmocka_unit_test(test_powers_of_two_and_extremes),
	    cmocka_unit_test(test_random_values),
	    cmocka_unit_test(test_never_falls),
	    cmocka_unit_test(test_edge_in_seconds_is_rounded_right),
	};

	return cmocka_run_group_tests_name("hist", tests, NULL, NULL);
}
