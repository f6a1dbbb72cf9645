/* fingerprint_test.c - statements without their literals, whole and cut at any byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "sense/fingerprint.h"

struct pair {
	const char *text, *want;
};

/* In memory of just its size, so that a sanitizer sees what is read beyond it. */
static size_t make(const char *text, size_t bytes, bool cut, char ret[FINGERPRINT_MAX])
{
	char *copy = malloc(bytes + !bytes);
	size_t n;

	assert_non_null(copy);
	memcpy(copy, text, bytes);
	n = fingerprint(copy, bytes, cut, ret);
	free(copy);
	assert_true(n < FINGERPRINT_MAX);
	assert_int_equal(strlen(ret), n);
	return n;
}

static void check(const struct pair *p, size_t n, bool cut)
{
	char got[FINGERPRINT_MAX];

	for (size_t i = 0; i < n; i++) {
		make(p[i].text, strlen(p[i].text), cut, got);
		if (strcmp(got, p[i].want) != 0)
			fail_msg("%s\n  is   %s\n  must %s", p[i].text, got, p[i].want);
	}
}

#define CHECK(pairs, cut) check(pairs, sizeof(pairs) / sizeof((pairs)[0]), cut)

static void literals(void **state)
{
	static const struct pair pairs[] = {
	    {"SELECT 1", "SELECT ?"},
	    {"select a from t where id = 42", "select a from t where id = ?"},
	    {"a=1.5 b=.5 c=1e10 d=1e-5 e=2E+3 f=0x1F g=1_000", "a=? b=? c=? d=? e=? f=? g=?"},
	    {"a = -5 AND b IN (-1, +2) AND c > - 3", "a = ? AND b IN (...) AND c > ?"},
	    {"a - 5, a -b, f(-5), (a)-5", "a - ?, a -b, f(?), (a)-?"},
	    {"a = -b AND c = - d", "a = -b AND c = -d"},
	    {"t1.c2 = x3", "t1.c2 = x3"},
	    {"s = 'x'", "s = ?"},
	    {"s = 'it''s' OR s = ''", "s = ? OR s = ?"},
	    {"s = E'a\\'b' OR s = e'\\\\' OR b = B'01' OR x = x'ff' OR n = N'n'",
	     "s = ? OR s = ? OR b = ? OR x = ? OR n = ?"},
	    {"s = U&'\\0441' AND U&\"d\" = u", "s = ? AND U&\"d\" = u"},
	    {"'one'\n  'two', 3", "?, ?"},
	    {"id = $1 AND b = $23", "id = ? AND b = ?"},
	    {"DO $$ BEGIN x := 'a'; END $$", "DO ?"},
	    {"f($a$ one $$ 'two $b$ $a$, a$b)", "f(?, a$b)"},
	    {"f($a$ $b$ $a$ $b$ secret", "f(? ..."},
	    {"'2020-01-01'::date, interval '1 day'", "?::date, interval ?"},
	    {"d->>'k' = 'v' AND d @> '{}' AND d->1 = x", "d->>? = ? AND d @> ? AND d->? = x"},
	    {"\"it's\" = \"a\"\"b\"", "\"it's\" = \"a\"\"b\""},
	    {"ALTER ROLE r PASSWORD 'secret'", "ALTER ROLE r PASSWORD ?"},
	    {"EXECUTE p(1, 'a')", "EXECUTE p(?, ?)"},
	    {"SELECT 'a''", "SELECT ..."},
	};

	CHECK(pairs, false);
}

static void lists(void **state)
{
	static const struct pair pairs[] = {
	    {"x IN (1, 2, 3)", "x IN (...)"},
	    {"x in($1,$2) AND y = 1", "x in(...) AND y = ?"},
	    {"x NOT IN ('a)', 'b(', (1), f(2)) LIMIT 1", "x NOT IN (...) LIMIT ?"},
	    {"x IN (SELECT y FROM z WHERE w = 1)", "x IN (SELECT y FROM z WHERE w = ?)"},
	    {"x IN ( /* c */ with q AS (SELECT 1) SELECT 2)",
	     "x IN ( with q AS (SELECT ?) SELECT ?)"},
	    {"INSERT INTO t (a, b) VALUES (1, 'x')", "INSERT INTO t (a, b) VALUES (...)"},
	    {"INSERT INTO t VALUES (1), (f(2)) , (DEFAULT) RETURNING id",
	     "INSERT INTO t VALUES (...) RETURNING id"},
	    {"VALUES (1), x", "VALUES (...), x"},
	    {"x = ANY(ARRAY[1, 2]) AND y = ARRAY[[1],[2]]",
	     "x = ANY(ARRAY[...]) AND y = ARRAY[...]"},
	    {"f(1, 2, 3)", "f(?, ?, ?)"},
	    {"x IN (1, 2", "x IN (...)"},
	};

	CHECK(pairs, false);
}

static void spaces_and_comments(void **state)
{
	static const struct pair pairs[] = {
	    {"  SELECT\t a ,\r\n b  ;  ", "SELECT a , b"},
	    {"SELECT 1 -- 'secret\nFROM t--", "SELECT ? FROM t"},
	    {"SELECT/* a /* 'b */ c */1/**/;", "SELECT ?"},
	    {"SELECT 1 /* 'secret", "SELECT ?"},
	    {"BEGIN; SELECT 1; COMMIT;", "BEGIN; SELECT ?; COMMIT"},
	    {"a - b -c", "a - b -c"},
	    {"", ""},
	    {" ; ", ""},
	    {"-- nothing", ""},
	    {"\"t\" FROM", "\"t\" FROM"},
	};

	CHECK(pairs, false);
}

static void where_a_literal_may_end(void **state)
{
	static const struct pair whole[] = {
	    /* by standard_conforming_strings, 'C:\' is all of it, or not */
	    {"a = 'C:\\' AND b = 'secret'", "a = ..."},
	    {"a = 'x\\\\' AND b = 'secret'", "a = ? AND b = ?"},
	    {"a IN ('\\' secret', 'b') AND c", "a IN (...)"},
	    {"a = 'secret", "a = ..."},
	    {"a = \"secret", "a = ..."},
	    {"a = $x$ secret $y$", "a = ..."},
	    {"a = $x", "a = ..."},
	    {"a = E'secret\\'", "a = ..."},
	    {"E'a'\n'b\\' secret'", "? ..."},
	};
	static const struct pair cut[] = {
	    {"a = 1 AND", "a = ? ..."},
	    {"a = 1 AND ", "a = ? AND ..."},
	    {"a = 12", "a = ?..."},
	    {"a = 'secret", "a = ..."},
	    {"a = E", "a = ..."},
	    {"a = $sec", "a = ..."},
	    {"INSERT INTO t VALUES (1, 'sec", "INSERT INTO t VALUES (...)"},
	    {"INSERT INTO t VALUES (1, 2)", "INSERT INTO t VALUES (...)"},
	    {"INSERT INTO t VALUES (1, 2), ", "INSERT INTO t VALUES (...)"},
	    {"x IN (1, 2, 345", "x IN (...)"},
	};

	CHECK(whole, false);
	CHECK(cut, true);
}

static void long_ones(void **state)
{
	char text[1000], got[FINGERPRINT_MAX];

	memset(text, 'a', sizeof(text));
	assert_int_equal(make(text, 200, false, got), 3);
	assert_string_equal(got, "...");
	for (size_t i = 1; i < sizeof(text); i += 2)
		text[i] = ' ';
	for (size_t n = 0; n < sizeof(text); n++)
		assert_true(make(text, n, false, got) <= FINGERPRINT_MAX - 1);
	assert_string_equal(got + strlen(got) - 7, "a a ...");
	/* the same however long, and with a token of any length at the end */
	for (size_t n = 1; n < 30; n++) {
		memset(text + 180, 'b', n);
		text[180 + n] = ' ';
		make(text, sizeof(text), true, got);
		assert_string_equal(got + strlen(got) - 3, "...");
	}
}

static void other_bytes(void **state)
{
	static const struct pair pairs[] = {
	    {"SELECT \xd0\xb0\xe2\x82\xac\xf0\x9f\x98\x80 FROM t", /* UTF-8 of 2, 3, 4 bytes */
	     "SELECT \xd0\xb0\xe2\x82\xac\xf0\x9f\x98\x80 FROM t"},
	    {"a\xff b\xc0\x80 c\xed\xa0\x80 d\xc3", "a? b?? c??? d?"},
	    {"\"a\x01\x7f\" b", "\"a??\" b"},
	};
	char got[FINGERPRINT_MAX];

	CHECK(pairs, false);
	make("a\x01\x7f b\x1b[31m", 9, false, got);
	assert_string_equal(got, "a b [?");
	make("SELECT\0 1", 9, false, got);
	assert_string_equal(got, "SELECT ?");
}

/* Whatever is cut off, and whatever byte is changed, no letter of a literal is shown. All letters
 * of the literals are capitals, all else small. */
static void nothing_shows(void **state)
{
	static const char text[] =
	    "select a.b, 'SECRET', \"q\" from t where x = 'IT''S' and y in ('A', E'B\\'C') and z = "
	    "$t$SECRET'$t$ and w = '' /* ok */ and d >= '2020-01-01T00:00:00Z' or v = 'A' 'B'";
	char copy[sizeof(text)], got[FINGERPRINT_MAX];

	for (size_t n = 0; n < sizeof(text); n++)
		for (int cut = 0; cut < 2; cut++) {
			make(text, n, cut, got);
			for (const char *c = got; *c; c++)
				if (*c >= 'A' && *c <= 'Z')
					fail_msg("%.*s\n  is %s", (int)n, text, got);
		}
	srand(1);
	for (int i = 0; i < 20000; i++) { /* hostile bytes: it stays in its bounds */
		size_t n = (size_t)rand() % sizeof(text);

		memcpy(copy, text, sizeof(text));
		for (int k = 0; k < 8; k++)
			copy[(size_t)rand() % sizeof(text)] = "'\"$\\E(),;-/*\xc3\0 1"[rand() % 16];
		make(copy, n, rand() & 1, got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(literals),
	    cmocka_unit_test(lists),
	    cmocka_unit_test(spaces_and_comments),
	    cmocka_unit_test(where_a_literal_may_end),
	    cmocka_unit_test(long_ones),
	    cmocka_unit_test(other_bytes),
	    cmocka_unit_test(nothing_shows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
