/* host_text_test.c - taking words and numbers off the text of /proc. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "sense/host_text.h"

static void lines_and_words(void **state)
{
	struct host_text t = host_text_of("one  two\tthree\n\nlast"), line, word;

	assert_true(host_text_line(&t, &line));
	assert_true(host_text_word(&line, &word) && host_text_is(word, "one"));
	assert_true(host_text_word(&line, &word) && host_text_is(word, "two"));
	assert_true(host_text_word(&line, &word) && host_text_is(word, "three"));
	assert_false(host_text_word(&line, &word));
	assert_true(host_text_line(&t, &line) && line.at == line.end);
	assert_true(host_text_line(&t, &line) && host_text_is(line, "last"));
	assert_false(host_text_line(&t, &line));
}

static void words_end_at_a_newline(void **state)
{
	struct host_text t = host_text_of("a\nb"), word;

	assert_true(host_text_word(&t, &word) && host_text_is(word, "a"));
	assert_false(host_text_word(&t, &word));
}

static void numbers(void **state)
{
	static const struct {
		const char *text;
		bool good;
		uint64_t value;
	} cases[] = {
	    {"0", true, 0},
	    {" \t42 x", true, 42},
	    {"18446744073709551615", true, UINT64_MAX},
	    {"18446744073709551616", true, UINT64_MAX}, /* held, not wrapped */
	    {"99999999999999999999999999999999999", true, UINT64_MAX},
	    {"000000000000000000000000000007", true, 7},
	    {"", false, 0},
	    {"-1", false, 0},
	    {"12a", false, 0},
	    {"12.5", false, 0},
	    {"x", false, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct host_text t = host_text_of(cases[i].text), before = t;
		uint64_t value = 0;

		assert_int_equal(host_text_u64(&t, &value), cases[i].good);
		assert_true(value == cases[i].value);
		if (!cases[i].good)
			assert_ptr_equal(t.at, before.at);
	}
}

static void hexadecimal(void **state)
{
	struct host_text t = host_text_of("000004fF 1g");
	uint64_t value = 0;

	assert_true(host_text_hex(&t, &value));
	assert_true(value == 0x4ff);
	assert_false(host_text_hex(&t, &value));
}

static void decimals(void **state)
{
	static const struct {
		const char *text;
		bool good;
		double value;
	} cases[] = {
	    {"0.52 ", true, 0.52}, {"12", true, 12},	{"-40.5", true, -40.5},
	    {"7.", true, 7},	   {".5", false, 0},	{"-", false, 0},
	    {"max", false, 0},	   {"1.2.3", false, 0}, {"1e9", false, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct host_text t = host_text_of(cases[i].text);
		double value = 0;

		assert_int_equal(host_text_decimal(&t, &value), cases[i].good);
		assert_float_equal(value, cases[i].value, 1e-12);
	}
}

static void a_huge_decimal_stays_finite(void **state)
{
	char text[1000];
	struct host_text t = {.at = text, .end = text + sizeof(text)};
	double value = 0;

	memset(text, '9', sizeof(text));
	assert_true(host_text_decimal(&t, &value));
	assert_true(value >= 1e18 && value < 1e20);
}

static void up_to_a_byte(void **state)
{
	struct host_text t = host_text_of("  eth0:123"), name;
	uint64_t value;

	assert_true(host_text_until(&t, ':', &name) && host_text_is(name, "eth0"));
	assert_true(host_text_u64(&t, &value));
	assert_true(value == 123);
	assert_false(host_text_until(&t, ':', &name));
}

static void skipping_too_far_takes_nothing(void **state)
{
	struct host_text t = host_text_of("a b c"), word;

	assert_false(host_text_skip(&t, 4));
	assert_true(host_text_skip(&t, 2));
	assert_true(host_text_word(&t, &word) && host_text_is(word, "c"));
}

static void copies_are_fit_for_labels(void **state)
{
	static const struct {
		const char *text, *copy;
	} cases[] = {
	    {"plain", "plain"},
	    {"a\tb\x01\x7f", "a?b??"},
	    {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"}, /* UTF-8 is kept */
	    {"\xff\xfe", "??"},
	    {"\xc3", "?"},		  /* cut in the middle */
	    {"\xc0\xaf", "??"},		  /* overlong */
	    {"\xed\xa0\x80", "???"},	  /* half of a surrogate pair */
	    {"\xf4\x90\x80\x80", "????"}, /* above U+10FFFF */
	};
	char copy[16];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		host_text_copy(host_text_of(cases[i].text), copy, sizeof(copy));
		assert_string_equal(copy, cases[i].copy);
	}
	host_text_copy(host_text_of("abc\xc3\xbc"), copy, 5); /* not half a character */
	assert_string_equal(copy, "abc");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lines_and_words),
	    cmocka_unit_test(words_end_at_a_newline),
	    cmocka_unit_test(numbers),
	    cmocka_unit_test(hexadecimal),
	    cmocka_unit_test(decimals),
	    cmocka_unit_test(a_huge_decimal_stays_finite),
	    cmocka_unit_test(up_to_a_byte),
	    cmocka_unit_test(skipping_too_far_takes_nothing),
	    cmocka_unit_test(copies_are_fit_for_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
