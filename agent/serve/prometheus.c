/* prometheus.c - see prometheus.h for the contract. */
#include <string.h>
#include "serve/glob.h"
#include "serve/prometheus.h"

#define STEPS (1 << HIST_SCHEMA) /* slots a doubling */

/* 2^-25 .. 2^6, each the shortest text of its double, and with a point or an exponent: OpenMetrics
 * wants "1.0", Prometheus 3 stores both as that, and one spelling keeps the series the same
 * whichever format is scraped. */
static const char *const edge_text[PROMETHEUS_EDGES] = {
    "2.9802322387695312e-08",
    "5.960464477539063e-08",
    "1.1920928955078125e-07",
    "2.384185791015625e-07",
    "4.76837158203125e-07",
    "9.5367431640625e-07",
    "1.9073486328125e-06",
    "3.814697265625e-06",
    "7.62939453125e-06",
    "1.52587890625e-05",
    "3.0517578125e-05",
    "6.103515625e-05",
    "0.0001220703125",
    "0.000244140625",
    "0.00048828125",
    "0.0009765625",
    "0.001953125",
    "0.00390625",
    "0.0078125",
    "0.015625",
    "0.03125",
    "0.0625",
    "0.125",
    "0.25",
    "0.5",
    "1.0",
    "2.0",
    "4.0",
    "8.0",
    "16.0",
    "32.0",
    "64.0",
};

uint64_t prometheus_buckets(const struct hist *h, uint64_t ret_count[PROMETHEUS_EDGES])
{
	uint32_t slot = 0, last = STEPS * PROMETHEUS_EDGE_MIN_LOG2 + HIST_INDEX_BIAS;
	uint64_t sum = 0;

	for (int edge = 0; edge < PROMETHEUS_EDGES; edge++, last += STEPS) {
		for (; slot <= last; slot++)
			sum += h->count[slot];
		ret_count[edge] = sum;
	}
	for (; slot < HIST_SLOTS; slot++)
		sum += h->count[slot];
	return sum;
}

/* --- one family */

struct text {
	struct buffer *out;
	bool openmetrics;
};

static size_t without_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n > m && memcmp(name + n - m, suffix, m) == 0 ? n - m : n;
}

static void put_help(struct text *t, const char *help)
{
	for (; *help; help++) {
		if (*help == '\n') {
			buffer_puts(t->out, "\\n");
			continue;
		}
		if (*help == '\\' || (*help == '"' && t->openmetrics))
			buffer_char(t->out, '\\');
		buffer_char(t->out, *help);
	}
}

static void put_meta(struct text *t, const char *what, const char *family, size_t n)
{
	buffer_put(t->out, what, strlen(what));
	buffer_put(t->out, family, n);
	buffer_char(t->out, ' ');
}

static void put_header(struct text *t, const struct metric *m)
{
	static const char *const type_name[] = {
	    [METRIC_COUNTER] = "counter",
	    [METRIC_GAUGE] = "gauge",
	    [METRIC_HISTOGRAM] = "histogram",
	};
	static const char *const units[] = {"seconds", "bytes", "ratio", "celsius", "volts"};
	const char *type = type_name[m->type];
	size_t family = strlen(m->name);

	if (t->openmetrics && m->type == METRIC_COUNTER) {
		size_t n = without_suffix(m->name, "_total");

		if (n == family) /* OpenMetrics has no counter without _total */
			type = "unknown";
		family = n;
	}
	put_meta(t, "# HELP ", m->name, family);
	put_help(t, m->help);
	buffer_char(t->out, '\n');
	put_meta(t, "# TYPE ", m->name, family);
	buffer_puts(t->out, type);
	buffer_char(t->out, '\n');
	for (size_t i = 0; t->openmetrics && i < sizeof(units) / sizeof(units[0]); i++) {
		size_t n = strlen(units[i]);

		if (family <= n || m->name[family - n - 1] != '_' ||
		    memcmp(m->name + family - n, units[i], n) != 0)
			continue;
		put_meta(t, "# UNIT ", m->name, family);
		buffer_puts(t->out, units[i]);
		buffer_char(t->out, '\n');
	}
}

/* name_suffix{labels} and a space */
static void put_name(struct text *t, const struct series *s, const char *suffix)
{
	size_t n = strnlen(s->labels, sizeof(s->labels));

	buffer_puts(t->out, s->metric->name);
	buffer_puts(t->out, suffix);
	if (n) {
		buffer_char(t->out, '{');
		buffer_put(t->out, s->labels, n);
		buffer_char(t->out, '}');
	}
	buffer_char(t->out, ' ');
}

/* prefix: offset and length in out of what opens each bucket's line, up to le=" */
static void put_bucket(struct buffer *out, size_t prefix, size_t prefix_bytes, const char *edge,
		       uint64_t count)
{
	char *to = buffer_reserve(out, prefix_bytes);

	if (!to)
		return;
	memmove(to, out->data + prefix, prefix_bytes);
	out->len += prefix_bytes;
	buffer_puts(out, edge);
	buffer_put(out, "\"} ", 3);
	buffer_u64(out, count);
	buffer_char(out, '\n');
}

static void put_histogram(struct text *t, const struct series *s, const struct hist *h,
			  uint64_t total, const uint64_t count[PROMETHEUS_EDGES])
{
	size_t n = strnlen(s->labels, sizeof(s->labels)), prefix = t->out->len, prefix_bytes;

	buffer_puts(t->out, s->metric->name);
	buffer_puts(t->out, "_bucket{");
	buffer_put(t->out, s->labels, n);
	buffer_puts(t->out, n ? ",le=\"" : "le=\"");
	prefix_bytes = t->out->len - prefix;
	t->out->len = prefix; /* the first bucket writes it again, in place */
	if (!t->out->failed)
		for (int edge = 0; edge < PROMETHEUS_EDGES; edge++)
			put_bucket(t->out, prefix, prefix_bytes, edge_text[edge], count[edge]);
	if (!t->out->failed)
		put_bucket(t->out, prefix, prefix_bytes, "+Inf", total);
	put_name(t, s, "_sum");
	buffer_seconds(t->out, h->sum_ns);
	buffer_char(t->out, '\n');
	put_name(t, s, "_count");
	buffer_u64(t->out, total);
	buffer_char(t->out, '\n');
}

void prometheus_write(struct store *s, uint64_t now_ns, const char *match, bool openmetrics,
		      struct buffer *out)
{
	struct text t = {.out = out, .openmetrics = openmetrics};
	const struct metric *seen = NULL; /* the metric of the series before, shown or not */
	bool wanted = false, headed = false;
	const struct series *series;
	size_t cursor = 0;

	while ((series = store_next(s, now_ns, &cursor)) && !out->failed) {
		const struct hist *h = store_series_hist(s, series);
		uint64_t count[PROMETHEUS_EDGES], total = 0;

		if (!seen || (seen != series->metric && strcmp(seen->name, series->metric->name))) {
			wanted = !match || glob_match(match, series->metric->name);
			headed = false;
		}
		seen = series->metric;
		if (!wanted)
			continue;
		if (seen->type == METRIC_HISTOGRAM) {
			total = h ? prometheus_buckets(h, count) : 0;
			if (!total)
				continue;
		}
		if (!headed)
			put_header(&t, seen);
		headed = true;
		if (seen->type == METRIC_HISTOGRAM) {
			put_histogram(&t, series, h, total, count);
		} else {
			put_name(&t, series, "");
			buffer_double(out, series->value);
			buffer_char(out, '\n');
		}
	}
	if (openmetrics)
		buffer_puts(out, "# EOF\n");
}
