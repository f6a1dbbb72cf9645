/* protobuf.c - see protobuf.h for the contract. */
#include <math.h>
#include <string.h>
#include "serve/pairs.h"
#include "serve/prometheus.h"
#include "serve/protobuf.h"

#define VARINT_MAX_BYTES 10
/* Prometheus's own default: 2^-128, which marks a histogram as native even if it has no other
 * bucket than this one. */
#define ZERO_THRESHOLD 0x1p-128
/* Up to so many empty buckets are sent as such: a new span would take more bytes. */
#define GAP_MAX 2

/* --- the wire format */

enum wire { WIRE_VARINT = 0, WIRE_I64 = 1, WIRE_LEN = 2 };

static size_t varint(char *to, uint64_t value)
{
	size_t n = 0;

	for (; value >= 0x80; value >>= 7)
		to[n++] = (char)(value | 0x80);
	to[n++] = (char)value;
	return n;
}

static void put_varint(struct buffer *b, uint64_t value)
{
	char *to = buffer_reserve(b, VARINT_MAX_BYTES);

	if (to)
		b->len += varint(to, value);
}

static void put_key(struct buffer *b, unsigned field, enum wire wire)
{
	put_varint(b, field << 3 | wire);
}

static uint64_t zigzag(int64_t value)
{
	return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static void put_uint(struct buffer *b, unsigned field, uint64_t value)
{
	put_key(b, field, WIRE_VARINT);
	put_varint(b, value);
}

static void put_double(struct buffer *b, unsigned field, double value)
{
	put_key(b, field, WIRE_I64);
	buffer_put(b, &value, sizeof(value)); /* BPF's hosts of interest are little-endian */
}

static void put_bytes(struct buffer *b, unsigned field, const char *data, size_t n)
{
	put_key(b, field, WIRE_LEN);
	put_varint(b, n);
	buffer_put(b, data, n);
}

/* Opens a message whose length is not known yet; message_end() moves the content behind it. */
static size_t message_begin(struct buffer *b)
{
	buffer_put(b, "\0\0\0\0\0\0\0\0\0\0", VARINT_MAX_BYTES);
	return b->len;
}

static void message_end(struct buffer *b, size_t begin)
{
	size_t n = b->len - begin, head;

	if (b->failed)
		return;
	head = varint(b->data + begin - VARINT_MAX_BYTES, n);
	memmove(b->data + begin - VARINT_MAX_BYTES + head, b->data + begin, n);
	b->len -= VARINT_MAX_BYTES - head;
}

/* --- io.prometheus.client, metrics.proto; the numbers are its field numbers */

static void put_labels(struct buffer *b, const struct series *s)
{
	const char *at = s->labels;
	struct pair pair;

	while (pairs_next(&at, &pair)) {
		size_t begin;

		put_key(b, 1, WIRE_LEN); /* Metric.label */
		begin = message_begin(b);
		put_bytes(b, 1, pair.name, pair.name_bytes);
		put_bytes(b, 2, pair.value, pair.value_bytes);
		message_end(b, begin);
	}
}

static void put_classic(struct buffer *b, const uint64_t count[PROMETHEUS_EDGES])
{
	for (int edge = 0; edge < PROMETHEUS_EDGES; edge++) {
		size_t begin;

		put_key(b, 3, WIRE_LEN); /* Histogram.bucket */
		begin = message_begin(b);
		put_uint(b, 1, count[edge]);
		put_double(b, 2, ldexp(1, PROMETHEUS_EDGE_MIN_LOG2 + edge));
		message_end(b, begin);
	}
}

/* Histogram.positive_span: runs of buckets, told apart by gaps of more than GAP_MAX. offset is the
 * first bucket's index, then the distance from the span before. */
static void put_span(struct buffer *b, int offset, uint32_t length)
{
	size_t begin;

	put_key(b, 12, WIRE_LEN);
	begin = message_begin(b);
	put_uint(b, 1, zigzag(offset));
	put_uint(b, 2, length);
	message_end(b, begin);
}

/* ret_index: the slots to send, in order; returns how many. */
static size_t put_spans(struct buffer *b, const struct hist *h, uint16_t ret_slot[HIST_SLOTS])
{
	uint32_t first = 0, next = 0; /* the open span is [first, next) */
	int before = HIST_INDEX_BIAS; /* where the span before ended; index 0 at first */
	size_t n = 0;

	for (uint32_t slot = 1; slot < HIST_SLOTS; slot++) {
		if (!h->count[slot])
			continue;
		if (!next) {
			first = next = slot;
		} else if (slot - next > GAP_MAX) {
			put_span(b, (int)first - before, next - first);
			before = (int)next;
			first = next = slot;
		}
		while (next <= slot)
			ret_slot[n++] = (uint16_t)next++;
	}
	if (next)
		put_span(b, (int)first - before, next - first);
	return n;
}

static void put_histogram(struct buffer *b, const struct hist *h, uint64_t samples,
			  const uint64_t classic[PROMETHEUS_EDGES])
{
	uint16_t slot[HIST_SLOTS];
	int64_t before = 0;
	size_t n, begin;

	put_uint(b, 1, samples);
	put_double(b, 2, (double)h->sum_ns / 1e9);
	if (classic)
		put_classic(b, classic);
	put_uint(b, 5, zigzag(HIST_SCHEMA));
	put_double(b, 6, ZERO_THRESHOLD);
	put_uint(b, 7, h->count[0]);
	n = put_spans(b, h, slot);
	if (!n)
		return;
	put_key(b, 13, WIRE_LEN); /* positive_delta, packed */
	begin = message_begin(b);
	for (size_t i = 0; i < n; i++) {
		int64_t count = (int64_t)h->count[slot[i]];

		put_varint(b, zigzag(count - before));
		before = count;
	}
	message_end(b, begin);
}

static void put_metric(struct buffer *b, const struct series *s, const struct hist *h,
		       uint64_t samples, const uint64_t classic[PROMETHEUS_EDGES])
{
	static const unsigned value_field[] = {
	    [METRIC_COUNTER] = 3, [METRIC_GAUGE] = 2, [METRIC_HISTOGRAM] = 7};
	size_t begin, value;

	put_key(b, 4, WIRE_LEN); /* MetricFamily.metric */
	begin = message_begin(b);
	put_labels(b, s);
	put_key(b, value_field[s->metric->type], WIRE_LEN);
	value = message_begin(b);
	if (s->metric->type == METRIC_HISTOGRAM)
		put_histogram(b, h, samples, classic);
	else
		put_double(b, 1, s->value);
	message_end(b, value);
	message_end(b, begin);
}

static size_t family_begin(struct buffer *b, const struct metric *m)
{
	static const uint64_t type[] = {
	    [METRIC_COUNTER] = 0, [METRIC_GAUGE] = 1, [METRIC_HISTOGRAM] = 4};
	size_t begin = message_begin(b);

	put_bytes(b, 1, m->name, strlen(m->name));
	put_bytes(b, 2, m->help, strlen(m->help));
	put_uint(b, 3, type[m->type]);
	return begin;
}

void protobuf_write(struct store *s, uint64_t now_ns, bool classic, struct buffer *out)
{
	const struct metric *open = NULL;
	const struct series *series;
	size_t cursor = 0, begin = 0;

	while ((series = store_next(s, now_ns, &cursor)) && !out->failed) {
		const struct metric *m = series->metric;
		const struct hist *h = NULL;
		uint64_t count[PROMETHEUS_EDGES], samples = 0;

		if (m->type == METRIC_HISTOGRAM) {
			h = store_series_hist(s, series);
			samples = h ? prometheus_buckets(h, count) : 0;
			if (!samples)
				continue;
		}
		if (!open || (open != m && strcmp(open->name, m->name))) {
			if (open)
				message_end(out, begin);
			begin = family_begin(out, m);
		}
		open = m;
		put_metric(out, series, h, samples, classic ? count : NULL);
	}
	if (open)
		message_end(out, begin);
}
