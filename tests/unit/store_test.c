/* store_test.c - the store against its contract and a model of it. The clock is a number: nothing
 * here waits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include "store/store.h"

#define SECOND 1000000000ULL
#define START (1000 * SECOND)

static const struct metric counter = {"test_bytes_total", METRIC_COUNTER, "device", "Bytes.", ""};
static const struct metric gauge = {"test_open", METRIC_GAUGE, "device,op", "Open.", ""};
static const struct metric latency = {"test_seconds", METRIC_HISTOGRAM, "device", "Latency.", ""};

struct block {
	size_t bytes;
	uint32_t series, hists;
	void *mem;
	struct store *store;
};

static struct block block_new(uint32_t series, uint32_t hists)
{
	struct block b = {store_size(series, hists), series, hists, NULL, NULL};

	assert_true(b.bytes > 0);
	b.mem = mmap(NULL, b.bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(b.mem != MAP_FAILED);
	b.store = store_open(b.mem, b.bytes, series, hists);
	assert_non_null(b.store);
	return b;
}

static void block_free(struct block *b)
{
	munmap(b->mem, b->bytes);
}

static void block_reopen(struct block *b)
{
	b->store = store_open(b->mem, b->bytes, b->series, b->hists);
	assert_non_null(b->store);
}

static struct store_stats stats_of(const struct block *b)
{
	struct store_stats st;

	store_get_stats(b->store, &st);
	return st;
}

static const struct series *find(struct block *b, uint64_t now_ns, const struct metric *m,
				 const char *labels)
{
	return store_find(b->store, now_ns, m->name, labels);
}

static double value_of(struct block *b, uint64_t now_ns, const struct metric *m, const char *labels)
{
	const struct series *x = find(b, now_ns, m, labels);

	assert_non_null(x);
	return x->value;
}

/* The walk is strictly in order, finds what store_find() finds; returns how many. */
static uint32_t check_walk(struct block *b, uint64_t now_ns)
{
	const struct series *x, *before = NULL;
	size_t cursor = 0;
	uint32_t n = 0;

	while ((x = store_next(b->store, now_ns, &cursor))) {
		if (before) {
			int order = strcmp(before->metric->name, x->metric->name);

			assert_true(order < 0 ||
				    (order == 0 && strcmp(before->labels, x->labels) < 0));
		}
		assert_ptr_equal(find(b, now_ns, x->metric, x->labels), x);
		if (x->metric->type == METRIC_HISTOGRAM)
			assert_non_null(store_series_hist(b->store, x));
		else
			assert_null(store_series_hist(b->store, x));
		before = x;
		n++;
	}
	assert_null(store_next(b->store, now_ns, &cursor));
	return n;
}

/* --- opening */

static void test_size_is_bounded(void **state)
{
	assert_int_equal(store_size(0, 1), 0);
	assert_int_equal(store_size(1, 0), 0);
	assert_int_equal(store_size(UINT32_MAX, 1), 0);
	assert_int_equal(store_size(1, UINT32_MAX), 0);
	assert_true(store_size(1, 1) > sizeof(struct series) + sizeof(struct hist));
	assert_true(store_size(4096, 512) < 4096 * 512 + 512 * 2400);
}

static void test_open_refuses_too_few_bytes_or_unaligned(void **state)
{
	struct block b = block_new(8, 2);

	assert_null(store_open(b.mem, b.bytes - 1, 8, 2));
	assert_null(store_open((char *)b.mem + 8, b.bytes, 1, 1));
	assert_null(store_open(b.mem, b.bytes, 0, 2));
	block_free(&b);
}

static void test_reopen_keeps_everything(void **state)
{
	struct block b = block_new(8, 2);
	struct store_stats before, after;

	store_set(b.store, &counter, START, 100, "device", "vda", NULL);
	store_set(b.store, &counter, START, 30, "device", "vda", NULL); /* has a base now */
	store_hist(b.store, &latency, START, "device", "vda", NULL)->count[7] = 9;
	store_set(b.store, &counter, START, -1, "device", "vda", NULL);
	before = stats_of(&b);
	block_reopen(&b);
	after = stats_of(&b);
	assert_memory_equal(&before, &after, sizeof(after));
	assert_int_equal(after.dropped, 1);
	assert_true(value_of(&b, START, &counter, "device=\"vda\"") == 100);
	store_set(b.store, &counter, START, 31, "device", "vda", NULL);
	assert_true(value_of(&b, START, &counter, "device=\"vda\"") == 101);
	assert_int_equal(store_hist(b.store, &latency, START, "device", "vda", NULL)->count[7], 9);
	assert_int_equal(check_walk(&b, START), 2);
	block_free(&b);
}

/* Where the header's fields lie is the store's own: so every word of it is damaged in turn. */
static void test_foreign_content_is_overwritten(void **state)
{
	struct block b = block_new(8, 2);

	memset(b.mem, 0xa5, b.bytes);
	block_reopen(&b);
	assert_int_equal(stats_of(&b).series, 0);
	assert_int_equal(stats_of(&b).dropped, 0);
	store_set(b.store, &gauge, START, 5, NULL);
	assert_int_equal(check_walk(&b, START), 1);

	assert_non_null(store_open(b.mem, b.bytes, 7, 2)); /* another size */
	block_reopen(&b);
	assert_int_equal(stats_of(&b).series, 0);
	for (size_t at = 0; at < 192; at += 4) {
		memset((char *)b.mem + at, 0xff, 4);
		block_reopen(&b);
		store_set(b.store, &gauge, START, 5, "device", "vda", NULL);
		store_hist(b.store, &latency, START, NULL);
		assert_int_equal(check_walk(&b, START), 2);
		assert_int_equal(stats_of(&b).series, 2);
	}
	block_free(&b);
}

/* A stray write in a series takes that series, not the program. */
static void test_damaged_series_is_left_out(void **state)
{
	struct block b = block_new(8, 2);
	struct series *damaged;

	for (size_t at = 0; at < sizeof(struct series); at += 4) {
		store_set(b.store, &gauge, START, 1, "device", "a", NULL);
		store_hist(b.store, &latency, START, "device", "b", NULL);
		store_set(b.store, &gauge, START, 3, "device", "c", NULL);
		damaged = (struct series *)find(&b, START, &latency, "device=\"b\"");
		memset((char *)damaged + at, 0xee, 4);
		block_reopen(&b);
		assert_in_range(check_walk(&b, START), 2, 3);
		assert_true(value_of(&b, START, &gauge, "device=\"a\"") == 1);
		assert_true(value_of(&b, START, &gauge, "device=\"c\"") == 3);
		memset(b.mem, 0, b.bytes);
		block_reopen(&b);
	}
	block_free(&b);
}

/* --- values */

static void test_gauge_goes_both_ways(void **state)
{
	struct block b = block_new(8, 2);

	store_set(b.store, &gauge, START, 5, NULL);
	store_set(b.store, &gauge, START, -7.5, NULL);
	assert_true(value_of(&b, START, &gauge, "") == -7.5);
	store_add(b.store, &gauge, START, -2.5, NULL);
	assert_true(value_of(&b, START, &gauge, "") == -10);
	store_set(b.store, &gauge, START, NAN, NULL);
	assert_true(isnan(value_of(&b, START, &gauge, "")));
	assert_int_equal(stats_of(&b).dropped, 0);
	block_free(&b);
}

static void test_counter_never_falls(void **state)
{
	static const struct {
		double total, shown;
	} steps[] = {
	    {100, 100}, {150, 150}, {20, 150}, {20, 150}, {25, 155},	    {200, 330},
	    {0, 330},	{1, 331},   {0, 331},  {10, 341}, {1e9, 1e9 + 331},
	};
	struct block b = block_new(8, 2);

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		store_set(b.store, &counter, START, steps[i].total, NULL);
		assert_true(value_of(&b, START, &counter, "") == steps[i].shown);
	}
	block_free(&b);
}

static void test_counter_refuses_nonsense(void **state)
{
	struct block b = block_new(8, 2);

	store_set(b.store, &counter, START, 10, NULL);
	store_set(b.store, &counter, START, -1, NULL);
	store_set(b.store, &counter, START, NAN, NULL);
	store_set(b.store, &counter, START, INFINITY, NULL);
	store_add(b.store, &counter, START, -1, NULL);
	store_add(b.store, &counter, START, NAN, NULL);
	assert_true(value_of(&b, START, &counter, "") == 10);
	assert_int_equal(stats_of(&b).dropped, 5);
	store_add(b.store, &counter, START, 0.5, NULL);
	assert_true(value_of(&b, START, &counter, "") == 10.5);
	block_free(&b);
}

static void test_add_starts_at_zero(void **state)
{
	struct block b = block_new(8, 2);

	store_add(b.store, &counter, START, 0, "device", "a", NULL);
	assert_true(value_of(&b, START, &counter, "device=\"a\"") == 0);
	for (int i = 0; i < 5; i++)
		store_add(b.store, &counter, START, 3, "device", "b", NULL);
	assert_true(value_of(&b, START, &counter, "device=\"b\"") == 15);
	block_free(&b);
}

static void test_types_are_not_mixed(void **state)
{
	static const struct metric other = {"test_open", METRIC_HISTOGRAM, "", "", ""};
	struct block b = block_new(8, 2);

	store_set(b.store, &gauge, START, 1, NULL);
	assert_null(store_hist(b.store, &other, START, NULL)); /* the same name */
	assert_null(store_hist(b.store, &gauge, START, NULL));
	store_set(b.store, &latency, START, 1, NULL);
	store_add(b.store, &latency, START, 1, NULL);
	assert_int_equal(stats_of(&b).dropped, 4);
	assert_int_equal(stats_of(&b).series, 1);
	assert_int_equal(stats_of(&b).hists, 0);
	block_free(&b);
}

/* --- labels */

static const struct {
	const char *value, *text;
} escapes[] = {
    {"plain", "plain"},
    {"", ""},
    {"C:\\dir", "C:\\\\dir"},
    {"say \"hi\"", "say \\\"hi\\\""},
    {"two\nlines", "two\\nlines"},
    {"tab\there", "tab\there"},
    {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x9a\xa4", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x9a\xa4"},
    {"\xff", "?"},
    {"a\x80z", "a?z"},
    {"cut \xe2\x82", "cut ??"},
    {"overlong \xc0\xaf", "overlong ??"},
    {"overlong \xe0\x80\xaf", "overlong ???"},
    {"overlong \xf0\x80\x80\xaf", "overlong ????"},
    {"surrogate \xed\xa0\x80", "surrogate ???"},
    {"beyond \xf4\x90\x80\x80", "beyond ????"},
    {"last \xf4\x8f\xbf\xbf", "last \xf4\x8f\xbf\xbf"},
    {"latin1 caf\xe9", "latin1 caf?"},
};

static void test_values_are_escaped(void **state)
{
	for (size_t i = 0; i < sizeof(escapes) / sizeof(*escapes); i++) {
		struct block b = block_new(8, 2);
		char text[100];
		size_t cursor = 0;

		store_set(b.store, &gauge, START, 1, "device", escapes[i].value, "op", "x", NULL);
		snprintf(text, sizeof(text), "device=\"%s\",op=\"x\"", escapes[i].text);
		assert_string_equal(store_next(b.store, START, &cursor)->labels, text);
		block_free(&b);
	}
}

static void test_names_are_made_valid(void **state)
{
	struct block b = block_new(8, 2);

	store_set(b.store, &gauge, START, 1, "9a-b.c9", "v", NULL);
	assert_true(value_of(&b, START, &gauge, "_a_b_c9=\"v\"") == 1);
	block_free(&b);
}

/* Checks name="value",... where a value has only whole escapes and whole characters. */
static void check_label_text(const char *text)
{
	size_t n = strnlen(text, STORE_LABELS_MAX);
	const char *c = text;

	assert_true(n < STORE_LABELS_MAX);
	while (*c) {
		assert_true(strspn(c, "abcdefghijklmnopqrstuvwxyz_0123456789") > 0);
		c += strspn(c, "abcdefghijklmnopqrstuvwxyz_0123456789");
		assert_memory_equal(c, "=\"", 2);
		for (c += 2; *c != '"'; c++) {
			assert_true(*c != '\0' && *c != '\n');
			if (*c == '\\') {
				c++;
				assert_true(*c == '\\' || *c == '"' || *c == 'n');
			} else if (*c == '\xe2') {
				assert_memory_equal(c, "\xe2\x82\xac", 3);
				c += 2;
			} else {
				assert_true((unsigned char)*c < 0x80);
			}
		}
		c++;
		if (*c == ',')
			c++;
		else
			assert_int_equal(*c, '\0');
	}
}

/* A value of a repeated unit; `end` makes two of them differ only behind the cut. */
static void fill(char *value, size_t size, const char *unit, char end)
{
	size_t n = 0;

	while (n + strlen(unit) + 2 < size)
		n += (size_t)sprintf(value + n, "%s", unit);
	value[n] = end;
	value[n + 1] = '\0';
}

static void test_long_labels_are_cut_and_stay_apart(void **state)
{
	static const char *const units[] = {"x",  "\\",		  "\n",
					    "\"", "\xe2\x82\xac", "ab\xe2\x82\xac\n"};

	for (size_t u = 0; u < sizeof(units) / sizeof(*units); u++) {
		for (size_t size = 20; size < 800; size++) {
			struct block b = block_new(8, 2);
			const struct series *x;
			char one[800], two[800];
			size_t cursor = 0;

			fill(one, size, units[u], '1');
			fill(two, size, units[u], '2');
			store_set(b.store, &gauge, START, 1, "device", one, "op", two, NULL);
			store_set(b.store, &gauge, START, 2, "device", two, "op", one, NULL);
			store_set(b.store, &gauge, START, 3, "device", one, "op", one, NULL);
			store_set(b.store, &gauge, START, 4, "device", "s", "op", one, NULL);
			store_set(b.store, &gauge, START, 5, "device", "s", "op", two, NULL);
			assert_int_equal(check_walk(&b, START), 5);
			while ((x = store_next(b.store, START, &cursor))) {
				check_label_text(x->labels);
				assert_non_null(strstr(x->labels, ",op=\""));
			}
			block_free(&b);
		}
	}
}

static void test_a_short_value_beside_a_long_one_stays_whole(void **state)
{
	struct block b = block_new(8, 2);
	const struct series *x;
	char path[1000];
	size_t cursor = 0;

	fill(path, sizeof(path), "/segment", 'e');
	store_set(b.store, &gauge, START, 1, "device", path, "op", "read", NULL);
	x = store_next(b.store, START, &cursor);
	assert_non_null(strstr(x->labels, ",op=\"read\""));
	assert_true(strncmp(x->labels, "device=\"/segment/segment", 24) == 0);
	assert_non_null(strchr(x->labels, '~'));
	block_free(&b);
}

static void test_labels_that_no_cut_makes_fit(void **state)
{
	struct block b = block_new(8, 2);
	const struct series *x;
	char name[400];
	size_t cursor = 0;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	store_set(b.store, &gauge, START, 1, "device", "vda", name, "1", NULL);
	store_set(b.store, &gauge, START, 2, "device", "vda", name, "2", NULL);
	store_set(b.store, &gauge, START, 1, "device", "vda", name, "1", NULL);
	assert_int_equal(check_walk(&b, START), 2);
	while ((x = store_next(b.store, START, &cursor))) {
		check_label_text(x->labels);
		assert_memory_equal(x->labels, "device=\"vda\",labels_cut=\"", 25);
	}
	block_free(&b);
}

static void test_too_many_labels_are_dropped_and_counted(void **state)
{
	struct block b = block_new(8, 2);

#define FOUR "a", "1", "b", "2", "c", "3", "d", "4"
	store_set(b.store, &gauge, START, 1, FOUR, FOUR, FOUR, FOUR, NULL);
	assert_int_equal(stats_of(&b).dropped, 0);
	store_set(b.store, &gauge, START, 1, FOUR, FOUR, FOUR, FOUR, "e", "5", NULL);
#undef FOUR
	assert_int_equal(stats_of(&b).dropped, 1);
	assert_int_equal(stats_of(&b).series, 1);
	block_free(&b);
}

/* --- walk, room, staleness */

static void set_numbered(struct block *b, const struct metric *m, uint64_t now_ns, int number,
			 double value)
{
	char device[16];

	snprintf(device, sizeof(device), "d%d", number);
	if (m->type == METRIC_HISTOGRAM) {
		struct hist *h = store_hist(b->store, m, now_ns, "device", device, NULL);

		if (h)
			h->sum_ns = (uint64_t)value;
	} else {
		store_set(b->store, m, now_ns, value, "device", device, NULL);
	}
}

static void test_walk_is_in_order_as_the_set_grows(void **state)
{
	static const struct metric *const metrics[] = {&latency, &counter, &gauge};
	struct block b = block_new(600, 200);

	for (int i = 0; i < 600; i++) {
		/* 7 and 600 have no common factor: each number once, in scattered order */
		set_numbered(&b, metrics[i % 3], START, i * 7 % 600, i);
		if (i % 50 == 0)
			assert_int_equal(check_walk(&b, START), i + 1);
	}
	assert_int_equal(check_walk(&b, START), 600);
	assert_int_equal(stats_of(&b).dropped, 0);
	block_reopen(&b);
	assert_int_equal(check_walk(&b, START), 600);
	block_free(&b);
}

static void test_a_series_made_during_a_walk_does_not_disturb_it(void **state)
{
	struct block b = block_new(8, 2);
	size_t cursor = 0;

	set_numbered(&b, &gauge, START, 1, 0);
	set_numbered(&b, &gauge, START, 3, 0);
	assert_string_equal(store_next(b.store, START, &cursor)->labels, "device=\"d1\"");
	set_numbered(&b, &gauge, START, 2, 0);
	assert_string_equal(store_next(b.store, START, &cursor)->labels, "device=\"d3\"");
	assert_null(store_next(b.store, START, &cursor));
	assert_int_equal(check_walk(&b, START), 3);
	block_free(&b);
}

static void test_stale_series_are_left_out_until_written_again(void **state)
{
	struct block b = block_new(8, 2);
	uint64_t later = START + STORE_STALE_NS;

	set_numbered(&b, &counter, START, 1, 100);
	set_numbered(&b, &counter, START + 1, 2, 200);
	assert_int_equal(check_walk(&b, later - 1), 2);
	assert_int_equal(check_walk(&b, later), 1);
	assert_null(find(&b, later, &counter, "device=\"d1\""));
	assert_int_equal(stats_of(&b).series, 2);
	set_numbered(&b, &counter, later, 1, 5); /* it comes back and still does not fall */
	assert_int_equal(check_walk(&b, later), 2);
	assert_true(value_of(&b, later, &counter, "device=\"d1\"") == 100);
	block_free(&b);
}

static void test_series_are_ended_that_were_not_written(void **state)
{
	struct block b = block_new(3, 2);

	store_set(b.store, &counter, START, 10, "device", "a", NULL);
	store_set(b.store, &gauge, START, 1, "device", "a", NULL);
	store_hist(b.store, &latency, START, "device", "a", NULL)->count[7] = 9;
	store_set(b.store, &counter, START + 1, 5, "device", "b", NULL); /* no room */
	store_end(b.store, &counter, START + 1);
	store_end(b.store, &latency, START + 1);
	assert_int_equal(check_walk(&b, START + 1), 1);
	assert_int_equal(stats_of(&b).hists, 0);
	store_set(b.store, &counter, START + 1, 5, "device", "b", NULL); /* there is at once */
	store_set(b.store, &counter, START + 1, 3, "device", "a", NULL);
	store_end(b.store, &counter, START + 1);
	assert_true(value_of(&b, START + 1, &counter, "device=\"a\"") == 3); /* begun anew */
	assert_true(value_of(&b, START + 1, &counter, "device=\"b\"") == 5);
	assert_int_equal(check_walk(&b, START + 1), 3);
	assert_int_equal(stats_of(&b).dropped, 1);
	block_free(&b);
}

static void test_a_full_store_drops_and_counts(void **state)
{
	struct block b = block_new(4, 2);
	uint64_t later = START + STORE_STALE_NS;

	for (int i = 0; i < 7; i++)
		set_numbered(&b, &gauge, START + (uint64_t)i, i, i);
	assert_int_equal(stats_of(&b).series, 4);
	assert_int_equal(stats_of(&b).dropped, 3);
	assert_int_equal(check_walk(&b, START + 6), 4);
	set_numbered(&b, &gauge, START + 9, 1, 11); /* those that are in are still written */
	assert_true(value_of(&b, START + 9, &gauge, "device=\"d1\"") == 11);
	assert_int_equal(stats_of(&b).dropped, 3);

	set_numbered(&b, &gauge, later, 8, 8); /* d0 is stale: its place is taken */
	assert_true(value_of(&b, later, &gauge, "device=\"d8\"") == 8);
	assert_null(find(&b, later, &gauge, "device=\"d0\""));
	set_numbered(&b, &gauge, later, 9, 9);
	assert_int_equal(stats_of(&b).dropped, 4);
	assert_int_equal(check_walk(&b, later), 4);
	block_free(&b);
}

static void test_histograms_are_reused_and_start_empty(void **state)
{
	struct block b = block_new(8, 2);
	uint64_t later = START + STORE_STALE_NS;
	struct hist *h, empty = {0};

	for (int i = 0; i < 3; i++) {
		set_numbered(&b, &latency, START, i, 77);
		set_numbered(&b, &latency, START, i, 77);
	}
	assert_int_equal(stats_of(&b).hists, 2);
	assert_int_equal(stats_of(&b).dropped, 2);
	h = store_hist(b.store, &latency, later, "device", "new", NULL);
	assert_non_null(h);
	assert_memory_equal(h, &empty, sizeof(empty));
	assert_int_equal(stats_of(&b).hists, 2);
	assert_int_equal(stats_of(&b).series, 2); /* the stale one gave both its places */
	block_free(&b);
}

/* Places of stale series with a histogram are taken by others without: histograms come free. */
static void test_histograms_of_replaced_series_come_free(void **state)
{
	struct block b = block_new(3, 2);
	uint64_t later = START + STORE_STALE_NS;

	set_numbered(&b, &latency, START, 1, 1);
	set_numbered(&b, &latency, START, 2, 2);
	set_numbered(&b, &latency, later - 1, 3, 3);
	assert_int_equal(stats_of(&b).dropped, 1);
	for (int i = 0; i < 3; i++)
		set_numbered(&b, &gauge, later, i, i);
	assert_int_equal(stats_of(&b).hists, 0);
	assert_int_equal(stats_of(&b).series, 3);
	for (int i = 0; i < 2; i++)
		set_numbered(&b, &latency, later + STORE_STALE_NS, i, i);
	assert_int_equal(stats_of(&b).hists, 2);
	assert_int_equal(check_walk(&b, later + STORE_STALE_NS), 2);
	block_free(&b);
}

/* --- a model: what was written stays until it is stale; a write is dropped only if the store is
 * full of live series */

#define KEYS 60
#define MODEL_SERIES 24
#define MODEL_HISTS 8

struct model {
	uint64_t written_ns[KEYS];
	double value[KEYS];
};

static const struct metric *metric_of(int key)
{
	return key % 3 == 0 ? &latency : &gauge;
}

static uint32_t count_live(const struct model *m, uint64_t now_ns, int step)
{
	uint32_t n = 0;

	for (int key = 0; key < KEYS; key += step)
		n += m->written_ns[key] && now_ns - m->written_ns[key] < STORE_STALE_NS;
	return n;
}

static void model_write(struct block *b, struct model *m, uint64_t now_ns, int key, double value)
{
	uint64_t dropped = stats_of(b).dropped;

	set_numbered(b, metric_of(key), now_ns, key, value);
	if (stats_of(b).dropped == dropped) {
		m->written_ns[key] = now_ns;
		m->value[key] = value;
		return;
	}
	assert_int_equal(stats_of(b).dropped, dropped + 1);
	assert_true(count_live(m, now_ns, 1) == MODEL_SERIES ||
		    (key % 3 == 0 && count_live(m, now_ns, 3) == MODEL_HISTS));
}

static void model_check(struct block *b, const struct model *m, uint64_t now_ns)
{
	for (int key = 0; key < KEYS; key++) {
		const struct series *x;
		char labels[32];

		snprintf(labels, sizeof(labels), "device=\"d%d\"", key);
		x = find(b, now_ns, metric_of(key), labels);
		if (!m->written_ns[key] || now_ns - m->written_ns[key] >= STORE_STALE_NS) {
			assert_null(x);
			continue;
		}
		assert_non_null(x);
		if (key % 3 == 0)
			assert_int_equal(store_series_hist(b->store, x)->sum_ns, m->value[key]);
		else
			assert_true(x->value == m->value[key]);
	}
	assert_int_equal(check_walk(b, now_ns), count_live(m, now_ns, 1));
	assert_true(stats_of(b).series <= MODEL_SERIES);
	assert_true(stats_of(b).hists <= MODEL_HISTS);
}

static void test_random_use_against_the_model(void **state)
{
	struct block b = block_new(MODEL_SERIES, MODEL_HISTS);
	struct model m = {0};
	uint64_t now_ns = START;

	srandom(1);
	for (int i = 0; i < 30000; i++) {
		model_write(&b, &m, now_ns, (int)(random() % KEYS), (double)(random() % 1000));
		now_ns += (uint64_t)random() % (SECOND * 12 / 10);
		if (i % 7 == 0)
			model_check(&b, &m, now_ns);
		if (i % 501 == 0)
			block_reopen(&b);
	}
	assert_true(stats_of(&b).dropped > 0);
	block_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_size_is_bounded),
	    cmocka_unit_test(test_open_refuses_too_few_bytes_or_unaligned),
	    cmocka_unit_test(test_reopen_keeps_everything),
	    cmocka_unit_test(test_foreign_content_is_overwritten),
	    cmocka_unit_test(test_damaged_series_is_left_out),
	    cmocka_unit_test(test_gauge_goes_both_ways),
	    cmocka_unit_test(test_counter_never_falls),
	    cmocka_unit_test(test_counter_refuses_nonsense),
	    cmocka_unit_test(test_add_starts_at_zero),
	    cmocka_unit_test(test_types_are_not_mixed),
	    cmocka_unit_test(test_values_are_escaped),
	    cmocka_unit_test(test_names_are_made_valid),
	    cmocka_unit_test(test_long_labels_are_cut_and_stay_apart),
	    cmocka_unit_test(test_a_short_value_beside_a_long_one_stays_whole),
	    cmocka_unit_test(test_labels_that_no_cut_makes_fit),
	    cmocka_unit_test(test_too_many_labels_are_dropped_and_counted),
	    cmocka_unit_test(test_walk_is_in_order_as_the_set_grows),
	    cmocka_unit_test(test_a_series_made_during_a_walk_does_not_disturb_it),
	    cmocka_unit_test(test_stale_series_are_left_out_until_written_again),
	    cmocka_unit_test(test_series_are_ended_that_were_not_written),
	    cmocka_unit_test(test_a_full_store_drops_and_counts),
	    cmocka_unit_test(test_histograms_are_reused_and_start_empty),
	    cmocka_unit_test(test_histograms_of_replaced_series_come_free),
	    cmocka_unit_test(test_random_use_against_the_model),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
