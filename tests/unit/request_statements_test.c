/* request_statements_test.c - the statements that are executed most: shares, windows, prepared ones
 * and bounds. The clock is a number.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sense/request_statements.h"

#define START (1000ULL * 1000000000)
#define ONE 20 /* slots */
#define TWO 21

struct look {
	size_t n;
	struct statement_view view[STATEMENTS_BUSIEST];
};

static int set_up(void **state)
{
	struct statements *s = statements_new();

	assert_non_null(s);
	statements_turn(s, START);
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	statements_free(*state);
	return 0;
}

/* text NULL: only bound; in memory of just its size */
static void take(struct statements *s, uint16_t service, uint32_t weight, uint64_t prepared,
		 const char *text)
{
	size_t n = text ? strlen(text) + 1 : 0;
	struct request_statement *r = malloc(REQUEST_STATEMENT_HEAD + n);

	assert_non_null(r);
	r->prepared = prepared;
	r->weight = weight;
	r->service = service;
	r->text_bytes = (uint16_t)n;
	if (n)
		memcpy((char *)r + REQUEST_STATEMENT_HEAD, text, n);
	statements_take(s, r, REQUEST_STATEMENT_HEAD + n);
	free(r);
}

static struct look look(const struct statements *s, int service, int other)
{
	bool mine[REQUEST_SERVICES] = {0};
	struct look l;

	mine[service] = mine[other] = true;
	l.n = statements_busiest(s, mine, l.view);
	return l;
}

static void assert_is(const struct statement_view *v, const char *text, uint64_t samples,
		      double share)
{
	if (text)
		assert_string_equal(v->text, text);
	else
		assert_null(v->text);
	assert_int_equal(v->samples, samples);
	assert_true(fabs(v->share - share) < 1e-9);
}

static void shares_are_of_executions(void **state)
{
	struct statements *s = *state;
	struct look l;

	take(s, ONE, 1, 0, "SELECT 1");
	take(s, ONE, 1, 0, "SELECT 2");
	take(s, ONE, 8, 0, "UPDATE t SET a = 'secret'");
	take(s, TWO, 1, 0, "SELECT 3");
	l = look(s, ONE, ONE);
	assert_int_equal(l.n, 2);
	assert_is(&l.view[0], "UPDATE t SET a = ?", 1, 0.8);
	assert_is(&l.view[1], "SELECT ?", 2, 0.2);
	l = look(s, TWO, TWO);
	assert_int_equal(l.n, 1);
	assert_is(&l.view[0], "SELECT ?", 1, 1);
	l = look(s, ONE, TWO); /* taken for one */
	assert_int_equal(l.n, 2);
	assert_is(&l.view[1], "SELECT ?", 3, 3.0 / 11);
	assert_int_equal(look(s, 0, 0).n, 0);
}

static void prepared_ones_have_the_text_of_their_parse(void **state)
{
	struct statements *s = *state;
	struct look l;

	take(s, ONE, 4, 11, NULL); /* parsed before the start */
	take(s, ONE, 0, 13, "SELECT a WHERE b = $1");
	take(s, ONE, 4, 13, NULL);
	take(s, ONE, 4, 13, NULL);
	take(s, ONE, 0, 13, "DELETE FROM c WHERE d = $1"); /* the same name anew */
	take(s, ONE, 4, 13, NULL);
	l = look(s, ONE, ONE);
	assert_int_equal(l.n, 3);
	assert_is(&l.view[0], "SELECT a WHERE b = ?", 2, 0.5);
	assert_is(&l.view[1], "DELETE FROM c WHERE d = ?", 1, 0.25);
	assert_is(&l.view[2], NULL, 1, 0.25);
}

/* More than there is room for: what was not executed longest is forgotten, and what is used all the
 * time stays. */
static void least_recently_used_goes(void **state)
{
	struct statements *s = *state;
	uint64_t kept = 1, n = 3 * STATEMENTS_PREPARED;
	struct look l;

	take(s, ONE, 0, kept, "SELECT kept");
	for (uint64_t i = 1; i <= n; i++) {
		take(s, ONE, 0, 2 * i + 1, "SELECT other");
		take(s, ONE, 1, kept, NULL);
	}
	take(s, ONE, 1, 3, NULL);
	take(s, ONE, 1, 2 * n + 1, NULL);
	l = look(s, ONE, ONE);
	assert_int_equal(l.n, 3);
	assert_is(&l.view[0], "SELECT kept", n, (double)n / (double)(n + 2));
	assert_null(l.view[1].text ? l.view[2].text : l.view[1].text);
	assert_int_equal(l.view[1].samples + l.view[2].samples, 2);
}

static void windows_pass(void **state)
{
	struct statements *s = *state;
	uint64_t now = START;

	take(s, ONE, 1, 0, "SELECT old");
	assert_true(statements_window_seconds(s, now + 5000000000) == 5);
	now += STATEMENTS_HALF_NS;
	statements_turn(s, now - 1);
	statements_turn(s, now);
	take(s, ONE, 3, 0, "SELECT young");
	assert_is(&look(s, ONE, ONE).view[1], "SELECT old", 1, 0.25);
	assert_true(statements_window_seconds(s, now + 5000000000) == 35);
	now += STATEMENTS_HALF_NS;
	statements_turn(s, now);
	assert_int_equal(look(s, ONE, ONE).n, 1);
	assert_is(&look(s, ONE, ONE).view[0], "SELECT young", 1, 1);
	statements_turn(s, now + STATEMENTS_HALF_NS);
	assert_int_equal(look(s, ONE, ONE).n, 0);
}

/* A flood of different texts pushes out the rare ones, and shares are still of all. */
static void the_busiest_of_many(void **state)
{
	struct statements *s = *state;
	char text[64];
	struct look l;
	int n = 4 * STATEMENTS_MAX;

	for (int i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "SELECT a%d", i);
		take(s, ONE, 1, 0, text);
		take(s, ONE, 1, 0, "SELECT busy");
	}
	l = look(s, ONE, ONE);
	assert_int_equal(l.n, STATEMENTS_BUSIEST);
	assert_is(&l.view[0], "SELECT busy", (uint64_t)n, 0.5);
	assert_is(&l.view[1], l.view[1].text, 1, 0.5 / n);
}

static void slots_change_hands(void **state)
{
	struct statements *s = *state;

	take(s, ONE, 1, 0, "SELECT one");
	take(s, ONE, 1, 5, NULL);
	take(s, TWO, 1, 0, "SELECT two");
	statements_forget(s, ONE);
	assert_int_equal(look(s, ONE, ONE).n, 0);
	assert_is(&look(s, TWO, TWO).view[0], "SELECT two", 1, 1);
	take(s, ONE, 1, 0, "SELECT new");
	assert_is(&look(s, ONE, ONE).view[0], "SELECT new", 1, 1);
}

static void what_is_no_sample(void **state)
{
	struct statements *s = *state;
	struct request_statement r = {.weight = 1, .service = ONE, .text_bytes = 9};

	memcpy(r.text, "SELECT 1", 9);
	statements_take(s, &r, REQUEST_STATEMENT_HEAD - 1);
	statements_take(s, &r, REQUEST_STATEMENT_HEAD + 8);
	r.service = REQUEST_SERVICES;
	statements_take(s, &r, sizeof(r));
	r = (struct request_statement){.service = ONE, .prepared = 7}; /* neither text nor weight */
	statements_take(s, &r, sizeof(r));
	r = (struct request_statement){.service = ONE, .text_bytes = 257, .weight = 1};
	statements_take(s, &r, sizeof(r) + 8);
	assert_int_equal(look(s, ONE, ONE).n, 0);
	r.text_bytes = 256; /* no NUL: it was cut */
	memset(r.text, ' ', sizeof(r.text));
	memcpy(r.text, "SELECT 'a'", 10);
	statements_take(s, &r, sizeof(r));
	assert_is(&look(s, ONE, ONE).view[0], "SELECT ? ...", 1, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(shares_are_of_executions), TEST(prepared_ones_have_the_text_of_their_parse),
	    TEST(least_recently_used_goes), TEST(windows_pass),
	    TEST(the_busiest_of_many),	    TEST(slots_change_hands),
	    TEST(what_is_no_sample),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
