/* buffer_test.c - numbers and strings as they are written, label pairs and patterns as they are
 * read. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "serve/buffer.h"
#include "serve/glob.h"
#include "serve/pairs.h"

static const char *text_of(struct buffer *b)
{
	buffer_char(b, '\0');
	assert_false(b->failed);
	b->len = 0;
	return b->data;
}

static void writes_doubles(void **state)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {
	    {0, "0"},
	    {-0.0, "0"},
	    {1, "1"},
	    {-1, "-1"},
	    {99, "99"},
	    {100, "100"},
	    {9007199254740991.0, "9007199254740991"},
	    {0.1, "0.1"},
	    {-0.25, "-0.25"},
	    {1.000000001, "1.000000001"},
	    {123456.789, "123456.789"},
	    {1.0 / 3, "0.3333333333333333"},
	    {2.0 / 3, "0.6666666666666666"},
	    {5e-324, "4.94065645841247e-324"},
	    {1.7976931348623157e308, "1.7976931348623157e+308"},
	    {1e21, "1e+21"},
	    {0.00001, "1e-05"},
	    {NAN, "NaN"},
	    {INFINITY, "+Inf"},
	    {-INFINITY, "-Inf"},
	};
	struct buffer b = {0};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buffer_double(&b, cases[i].value);
		assert_string_equal(text_of(&b), cases[i].text);
	}
	buffer_json_double(&b, NAN);
	buffer_json_double(&b, -INFINITY);
	buffer_json_double(&b, 2.5);
	assert_string_equal(text_of(&b), "nullnull2.5");
	buffer_free(&b);
}

/* Whatever the double: the text reads back as the same, and no shorter %g does. */
static void doubles_read_back(void **state)
{
	struct buffer b = {0};
	char shorter[40];

	srand48(7);
	for (int i = 0; i < 200000; i++) {
		double value = i % 3 ? drand48() * pow(10, i % 25 - 9)
				     : floor(drand48() * 1e9) / pow(10, i % 10);
		const char *text;

		buffer_double(&b, value);
		text = text_of(&b);
		if (strtod(text, NULL) != value)
			fail_msg("%a written as %s", value, text);
		for (int digits = 1; digits < 17; digits++) {
			snprintf(shorter, sizeof(shorter), "%.*g", digits, value);
			if (strtod(shorter, NULL) == value && digits < 15) {
				size_t n = 0;

				for (const char *c = text; *c && *c != 'e'; c++)
					n += *c >= '0' && *c <= '9';
				/* leading zeros of 0.0001 and trailing ones of 1000 are no digits
				 * of %g */
				if (value >= 1 && value < 1e6 && n > (size_t)fmax(digits, 7))
					fail_msg("%s written as %s", shorter, text);
				break;
			}
		}
	}
	buffer_free(&b);
}

static void writes_seconds(void **state)
{
	struct buffer b = {0};

	buffer_seconds(&b, 0);
	buffer_char(&b, ' ');
	buffer_seconds(&b, 1);
	buffer_char(&b, ' ');
	buffer_seconds(&b, 1500000000);
	buffer_char(&b, ' ');
	buffer_seconds(&b, UINT64_MAX);
	assert_string_equal(text_of(&b), "0 0.000000001 1.5 18446744073.709551615");
	for (uint64_t n = 1; n; n *= 10) {
		char expected[24];

		snprintf(expected, sizeof(expected), "%llu", (unsigned long long)(n - 1));
		buffer_u64(&b, n - 1);
		assert_string_equal(text_of(&b), expected);
		if (n > UINT64_MAX / 10)
			break;
	}
	buffer_free(&b);
}

static void writes_json_strings(void **state)
{
	static const struct {
		const char *text, *json;
	} cases[] = {
	    {"", "\"\""},
	    {"plain", "\"plain\""},
	    {"a\"b\\c\n\x01", "\"a\\\"b\\\\c\\u000a\\u0001\""},
	    {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
	    {"\xff", "\"\xef\xbf\xbd\""},
	    {"\xc3", "\"\xef\xbf\xbd\""},				    /* cut short */
	    {"\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\""},		    /* overlong */
	    {"\xed\xa0\x80x", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx\""}, /* surrogate */
	};
	struct buffer b = {0};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buffer_json_string(&b, cases[i].text, strlen(cases[i].text));
		assert_string_equal(text_of(&b), cases[i].json);
	}
	buffer_free(&b);
}

static void stops_at_its_bound(void **state)
{
	struct buffer b = {0};
	char *chunk = calloc(1, 1 << 20);

	for (int i = 0; i < 64; i++)
		buffer_put(&b, chunk, 1 << 20);
	assert_false(b.failed);
	assert_int_equal(b.len, BUFFER_MAX_BYTES);
	buffer_char(&b, 'x');
	assert_true(b.failed);
	assert_int_equal(b.len, BUFFER_MAX_BYTES);
	buffer_clear(&b);
	buffer_char(&b, 'x');
	assert_false(b.failed);
	buffer_free(&b);
	free(chunk);
}

static void reads_pairs(void **state)
{
	const char *at = "device=\"vda\",path=\"a\\\\b\\\"c\\nd,e=\\\"\",empty=\"\"";
	struct pair p;

	assert_true(pairs_next(&at, &p));
	assert_memory_equal(p.name, "device", p.name_bytes);
	assert_int_equal(p.value_bytes, 3);
	assert_true(pairs_next(&at, &p));
	assert_int_equal(p.name_bytes, 4);
	assert_int_equal(p.value_bytes, strlen("a\\b\"c\nd,e=\""));
	assert_memory_equal(p.value, "a\\b\"c\nd,e=\"", p.value_bytes);
	assert_true(pairs_next(&at, &p));
	assert_int_equal(p.value_bytes, 0);
	assert_false(pairs_next(&at, &p));
	for (const char *bad[] = {"", "x", "=\"\"", "a=", "a=\"", "a=\"x", "a=x", "a=\"x\\", NULL},
			**b = bad;
	     *b; b++) {
		at = *b;
		assert_false(pairs_next(&at, &p));
	}
}

static void matches_patterns(void **state)
{
	static const struct {
		const char *patterns, *name;
		bool match;
	} cases[] = {
	    {"*", "trimtab_x", true},
	    {"trimtab_*", "trimtab_x", true},
	    {"trimtab_*", "process_x", false},
	    {"*_total", "a_total", true},
	    {"*_total", "a_total_b", false},
	    {"a?c", "abc", true},
	    {"a?c", "ac", false},
	    {"abc", "abc", true},
	    {"abc", "abcd", false},
	    {"abcd", "abc", false},
	    {"*a*b*c", "xxaxxbxxc", true},
	    {"*a*b*c", "xxaxxcxxb", false},
	    {"x,abc", "abc", true},
	    {"abc,x", "abc", true},
	    {"x,*,y", "abc", true},
	    {"x,y", "abc", false},
	    {"", "abc", false},
	    {",", "", true},
	    {"a**", "a", true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (glob_match(cases[i].patterns, cases[i].name) != cases[i].match)
			fail_msg("\"%s\" on \"%s\"", cases[i].patterns, cases[i].name);
	/* exponential with backtracking over every star: would not come back */
	assert_false(
	    glob_match("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b",
		       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(writes_doubles),	  cmocka_unit_test(doubles_read_back),
	    cmocka_unit_test(writes_seconds),	  cmocka_unit_test(writes_json_strings),
	    cmocka_unit_test(stops_at_its_bound), cmocka_unit_test(reads_pairs),
	    cmocka_unit_test(matches_patterns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
