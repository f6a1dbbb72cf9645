/* prometheus_test.c - the exposition formats: text to the byte, the protobuf read back by a small
 * decoder of its own. */
#define _GNU_SOURCE /* memmem */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "serve/prometheus.h"
#include "serve/protobuf.h"
#include "store/quantile.h"

#define NOW_NS 1000000000ULL

static const struct metric bytes_total = {"t_bytes_total", METRIC_COUNTER, "device,op",
					  "Bytes \\ \"moved\"\nper device.", "test"};
static const struct metric load_ratio = {"t_load_ratio", METRIC_GAUGE, "", "Load.", "test"};
static const struct metric odd = {"t_odd", METRIC_COUNTER, "", "A counter without _total.", "test"};
static const struct metric wait = {"t_wait_seconds", METRIC_HISTOGRAM, "op", "Waits.", "test"};

static struct store *make_store(void)
{
	size_t size = (store_size(256, 64) + 63) / 64 * 64;
	void *mem = aligned_alloc(64, size);

	assert_non_null(mem);
	memset(mem, 0, size);
	return store_open(mem, size, 256, 64);
}

static void fill(struct store *s)
{
	struct hist *h;

	store_set(s, &bytes_total, NOW_NS, 12, "device", "vda", "op", "read", NULL);
	store_set(s, &bytes_total, NOW_NS, 1e15, "device", "v\"d\\b\n", "op", "write", NULL);
	store_set(s, &load_ratio, NOW_NS, 0.25, NULL);
	store_set(s, &odd, NOW_NS, 3, NULL);
	h = store_hist(s, &wait, NOW_NS, "op", "read", NULL);
	for (uint64_t ns = 1000; ns <= 8000; ns += 1000) {
		h->count[hist_slot(ns)]++;
		h->sum_ns += ns;
	}
	h->count[0] += 2;
	h->count[HIST_SLOT_OVERFLOW]++;
	h->sum_ns += 100000000000ULL;
	assert_non_null(store_hist(s, &wait, NOW_NS, "op", "never", NULL));
}

static char *text_of(bool openmetrics, const char *match)
{
	struct store *s = make_store();
	struct buffer b = {0};

	fill(s);
	prometheus_write(s, NOW_NS, match, openmetrics, &b);
	buffer_char(&b, '\0');
	assert_false(b.failed);
	free(s);
	return b.data;
}

static void text_format(void **state)
{
	char *text = text_of(false, "t_bytes*,t_load*,t_odd");

	assert_string_equal(text, "# HELP t_bytes_total Bytes \\\\ \"moved\"\\nper device.\n"
				  "# TYPE t_bytes_total counter\n"
				  "t_bytes_total{device=\"v\\\"d\\\\b\\n\",op=\"write\"} "
				  "1000000000000000\n"
				  "t_bytes_total{device=\"vda\",op=\"read\"} 12\n"
				  "# HELP t_load_ratio Load.\n"
				  "# TYPE t_load_ratio gauge\n"
				  "t_load_ratio 0.25\n"
				  "# HELP t_odd A counter without _total.\n"
				  "# TYPE t_odd counter\n"
				  "t_odd 3\n");
	free(text);
}

static void openmetrics_format(void **state)
{
	char *text = text_of(true, "t_bytes*,t_load*,t_odd");

	assert_string_equal(text, "# HELP t_bytes Bytes \\\\ \\\"moved\\\"\\nper device.\n"
				  "# TYPE t_bytes counter\n"
				  "# UNIT t_bytes bytes\n"
				  "t_bytes_total{device=\"v\\\"d\\\\b\\n\",op=\"write\"} "
				  "1000000000000000\n"
				  "t_bytes_total{device=\"vda\",op=\"read\"} 12\n"
				  "# HELP t_load_ratio Load.\n"
				  "# TYPE t_load_ratio gauge\n"
				  "# UNIT t_load_ratio ratio\n"
				  "t_load_ratio 0.25\n"
				  "# HELP t_odd A counter without _total.\n"
				  "# TYPE t_odd unknown\n"
				  "t_odd 3\n"
				  "# EOF\n");
	free(text);
}

/* Every histogram has the same 32 edges, exact powers of two, and +Inf; one without samples is left
 * out. */
static void classic_buckets(void **state)
{
	char *text = text_of(false, "t_wait_seconds"), *line = text, *rest = NULL;
	int edge = -25;

	assert_null(strstr(text, "never"));
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		const char *le = strstr(line, "le=\"");
		uint64_t count = strtoull(strrchr(line, ' '), NULL, 10);

		if (!le)
			continue;
		assert_memory_equal(line, "t_wait_seconds_bucket{op=\"read\",le=\"", 36);
		if (strncmp(le, "le=\"+Inf", 8) == 0) {
			assert_int_equal(count, 11);
			assert_int_equal(edge, 7);
			continue;
		}
		if (strtod(le + 4, NULL) != ldexp(1, edge))
			fail_msg("edge 2^%d: %s", edge, line);
		/* 2^-20 s is 954 ns, 2^-19 1907, 2^-18 3815, 2^-17 7629 */
		assert_int_equal(count, edge < -19    ? 2
					: edge == -19 ? 3
					: edge == -18 ? 5
					: edge == -17 ? 9
						      : 10);
		edge++;
	}
	free(text);
	text = text_of(false, "t_wait_seconds");
	assert_non_null(strstr(text, "\nt_wait_seconds_sum{op=\"read\"} 100.000036\n"
				     "t_wait_seconds_count{op=\"read\"} 11\n"));
	free(text);
}

/* A bucket holds every slot whose upper edge is not above its own. */
static void buckets_match_the_slots(void **state)
{
	uint64_t got[PROMETHEUS_EDGES];
	struct hist h = {0};

	for (uint32_t slot = 0; slot < HIST_SLOTS; slot++)
		h.count[slot] = 1000 + slot * 7;
	assert_int_equal(prometheus_buckets(&h, got), hist_samples(&h));
	for (int edge = 0; edge < PROMETHEUS_EDGES; edge++) {
		double le = ldexp(1, PROMETHEUS_EDGE_MIN_LOG2 + edge);
		uint64_t expected = 0;

		for (uint32_t slot = 0; slot < HIST_SLOTS; slot++)
			if (hist_edge_seconds(slot) <= le * (1 + 1e-12))
				expected += h.count[slot];
		assert_int_equal(got[edge], expected);
	}
}

/* --- a reader of the wire format */

struct reader {
	const unsigned char *at, *end;
};

static uint64_t read_varint(struct reader *r)
{
	uint64_t value = 0;

	for (int shift = 0;; shift += 7) {
		assert_true(r->at < r->end && shift < 64);
		value |= (uint64_t)(*r->at & 0x7f) << shift;
		if (!(*r->at++ & 0x80))
			return value;
	}
}

static int64_t unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static struct reader read_message(struct reader *r)
{
	uint64_t n = read_varint(r);
	struct reader inner = {r->at, r->at + n};

	assert_true(n <= (uint64_t)(r->end - r->at));
	r->at += n;
	return inner;
}

/* The next field; a number in ret_value, a double in ret_double, a message in ret_inner. */
static unsigned read_field(struct reader *r, uint64_t *ret_value, double *ret_double,
			   struct reader *ret_inner)
{
	uint64_t key = read_varint(r);

	switch (key & 7) {
	case 0:
		*ret_value = read_varint(r);
		break;
	case 1:
		assert_true(r->end - r->at >= 8);
		memcpy(ret_double, r->at, 8);
		r->at += 8;
		break;
	case 2:
		*ret_inner = read_message(r);
		break;
	default:
		fail_msg("wire type %d", (int)(key & 7));
	}
	return (unsigned)(key >> 3);
}

struct native {
	uint64_t count, zero_count, classic;
	double sum, zero_threshold;
	int schema, spans;
	struct {
		int offset;
		uint32_t length;
	} span[HIST_SLOTS];
	struct reader deltas;
};

static struct native read_native(struct reader r)
{
	struct native n = {0};

	while (r.at < r.end) {
		struct reader inner = {0}, span;
		uint64_t value = 0, length = 0, offset = 0;
		double number = 0;

		switch (read_field(&r, &value, &number, &inner)) {
		case 1:
			n.count = value;
			break;
		case 2:
			n.sum = number;
			break;
		case 3:
			n.classic++;
			break;
		case 5:
			n.schema = (int)unzigzag(value);
			break;
		case 6:
			n.zero_threshold = number;
			break;
		case 7:
			n.zero_count = value;
			break;
		case 12:
			span = inner;
			assert_int_equal(read_field(&span, &offset, &number, &inner), 1);
			assert_int_equal(read_field(&span, &length, &number, &inner), 2);
			n.span[n.spans].offset = (int)unzigzag(offset);
			n.span[n.spans++].length = (uint32_t)length;
			break;
		case 13:
			n.deltas = inner;
			break;
		default:
			fail_msg("unknown field of a histogram");
		}
	}
	return n;
}

/* The histogram that a native one stands for, by Prometheus's rules. */
static void decode(struct native *n, struct hist *ret)
{
	int index = 0;
	int64_t count = 0;
	uint64_t sum = n->zero_count;

	memset(ret, 0, sizeof(*ret));
	ret->count[0] = n->zero_count;
	for (int i = 0; i < n->spans; i++) {
		index += n->span[i].offset;
		if (i)
			assert_true(n->span[i].offset > 2); /* shorter gaps are filled */
		for (uint32_t k = 0; k < n->span[i].length; k++, index++) {
			count += unzigzag(read_varint(&n->deltas));
			assert_true(count >= 0);
			ret->count[index + HIST_INDEX_BIAS] = (uint64_t)count;
			sum += (uint64_t)count;
		}
	}
	assert_ptr_equal(n->deltas.at, n->deltas.end);
	assert_int_equal(sum, n->count); /* or Prometheus refuses it */
}

/* The one histogram in what protobuf_write() made of it. */
static struct native round_trip(const struct hist *h, bool classic, struct buffer *b)
{
	struct store *s = make_store();
	struct reader all, family, metric = {0}, native = {0}, inner;
	uint64_t value = 0;
	double number;

	*store_hist(s, &wait, NOW_NS, "op", "read", NULL) = *h;
	protobuf_write(s, NOW_NS, classic, b);
	assert_false(b->failed);
	all = (struct reader){(unsigned char *)b->data, (unsigned char *)b->data + b->len};
	family = read_message(&all);
	assert_ptr_equal(all.at, all.end);
	while (family.at < family.end) {
		unsigned field = read_field(&family, &value, &number, &inner);

		if (field == 1)
			assert_memory_equal(inner.at, "t_wait_seconds", 14);
		if (field == 3)
			assert_int_equal(value, 4); /* HISTOGRAM */
		if (field == 4)
			metric = inner;
	}
	while (metric.at < metric.end)
		if (read_field(&metric, &value, &number, &inner) == 7)
			native = inner;
	free(s);
	return read_native(native);
}

static void native_histograms(void **state)
{
	struct hist h, back;
	struct native n;

	srand48(3);
	for (int round = 0; round < 2000; round++) {
		struct buffer b = {0};
		double density = drand48();

		memset(&h, 0, sizeof(h));
		for (uint32_t slot = 0; slot < HIST_SLOTS; slot++)
			if (drand48() < density * density)
				h.count[slot] = (uint64_t)(drand48() * pow(10, round % 15)) + 1;
		h.count[round % HIST_SLOTS]++;
		h.sum_ns = (uint64_t)(drand48() * 1e15);
		n = round_trip(&h, false, &b);
		decode(&n, &back);
		assert_memory_equal(back.count, h.count, sizeof(h.count));
		assert_int_equal(n.schema, 3);
		assert_true(n.zero_threshold > 0 && n.zero_threshold < 1e-30);
		assert_true(n.sum == (double)h.sum_ns / 1e9);
		assert_int_equal(n.classic, 0);
		buffer_free(&b);
	}
}

static void native_edge_cases(void **state)
{
	struct buffer b = {0};
	struct hist h = {0};
	struct native n;

	h.count[0] = 5; /* the zero bucket alone: still a native histogram */
	n = round_trip(&h, false, &b);
	assert_int_equal(n.count, 5);
	assert_int_equal(n.zero_count, 5);
	assert_int_equal(n.spans, 0);
	buffer_free(&b);
	h.count[HIST_SLOT_OVERFLOW] = UINT32_MAX;
	n = round_trip(&h, true, &b);
	assert_int_equal(n.spans, 1);
	assert_int_equal(n.span[0].offset, 49); /* (64, 69.8] s */
	assert_int_equal(n.classic, PROMETHEUS_EDGES);
	buffer_free(&b);
}

static void protobuf_numbers(void **state)
{
	struct store *s = make_store();
	struct buffer b = {0};
	struct reader all, family, inner;
	uint64_t value = 9;
	double number = 0;
	int families = 0, metrics = 0;

	fill(s);
	protobuf_write(s, NOW_NS, false, &b);
	all = (struct reader){(unsigned char *)b.data, (unsigned char *)b.data + b.len};
	for (; all.at < all.end; families++) {
		family = read_message(&all);
		while (family.at < family.end)
			metrics += read_field(&family, &value, &number, &inner) == 4;
	}
	assert_int_equal(families, 4);
	assert_int_equal(metrics, 5);
	/* a label's value is unescaped here */
	assert_non_null(memmem(b.data, b.len, "\x12\x06v\"d\\b\n", 8));
	buffer_free(&b);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text_format),	 cmocka_unit_test(openmetrics_format),
	    cmocka_unit_test(classic_buckets),	 cmocka_unit_test(buckets_match_the_slots),
	    cmocka_unit_test(native_histograms), cmocka_unit_test(native_edge_cases),
	    cmocka_unit_test(protobuf_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
