/* api.c - handlers of /api/metrics and /api/syscall/exact.
 *
 * JSON and CSV are written straight into the answer, without a tree: thousands of series a request.
 * Bounds: API_LIMIT_MAX series an answer. Cost: about 1 us a histogram, 0.2 us a number.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "core/agent.h"
#include "serve/api.h"
#include "serve/glob.h"
#include "serve/http.h"
#include "serve/pairs.h"
#include "serve/prometheus.h"
#include "store/quantile.h"

static const struct {
	const char *name;
	double q;
} quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p999", 0.999}};
#define QUANTILES (sizeof(quantiles) / sizeof(quantiles[0]))

static const char *const type_names[] = {
    [METRIC_COUNTER] = "counter",
    [METRIC_GAUGE] = "gauge",
    [METRIC_HISTOGRAM] = "histogram",
};

/* --- the series whose name matches */

struct walk {
	struct store *store;
	const char *match; /* NULL: all */
	uint64_t now_ns;
	size_t cursor;
	const struct metric *metric; /* of the series before */
	bool wanted;
};

static const struct series *walk_next(struct walk *w)
{
	const struct series *s;

	while ((s = store_next(w->store, w->now_ns, &w->cursor))) {
		if (w->metric != s->metric)
			w->wanted = !w->match || glob_match(w->match, s->metric->name);
		w->metric = s->metric;
		if (w->wanted)
			return s;
	}
	return NULL;
}

static uint64_t walk_count(struct walk w)
{
	uint64_t n = 0;

	while (walk_next(&w))
		n++;
	return n;
}

/* --- JSON */

static void put_labels(struct buffer *b, const char *labels)
{
	const char *at = labels;
	struct pair pair;

	buffer_char(b, '{');
	while (pairs_next(&at, &pair)) {
		if (b->data[b->len - 1] != '{')
			buffer_char(b, ',');
		buffer_json_string(b, pair.name, pair.name_bytes);
		buffer_char(b, ':');
		buffer_json_string(b, pair.value, pair.value_bytes);
		if (b->failed)
			break;
	}
	buffer_char(b, '}');
}

struct api_edges {
	struct {
		char text[24];
		uint8_t bytes;
	} slot[HIST_SLOTS];
};

struct api_edges *api_edges_new(void)
{
	struct api_edges *edges = calloc(1, sizeof(*edges));
	struct buffer b = {0};

	for (uint32_t i = 0; edges && i < HIST_SLOTS; i++) {
		buffer_clear(&b);
		buffer_json_double(&b, hist_edge_seconds(i));
		edges->slot[i].bytes = (uint8_t)b.len;
		if (!b.failed)
			memcpy(edges->slot[i].text, b.data, b.len);
	}
	buffer_free(&b);
	return edges;
}

static void put_buckets(struct buffer *b, const struct hist *h, const struct api_edges *edges)
{
	bool first = true;

	buffer_puts(b, ",\"buckets\":[");
	for (uint32_t slot = 0; slot < HIST_SLOTS; slot++) {
		if (!h->count[slot])
			continue;
		buffer_puts(b, first ? "[" : ",[");
		first = false;
		buffer_put(b, edges->slot[slot].text, edges->slot[slot].bytes);
		buffer_char(b, ',');
		buffer_u64(b, h->count[slot]);
		buffer_char(b, ']');
	}
	buffer_char(b, ']');
}

/* To the nanosecond, which is what was measured; q is far from exact anyway. */
static void put_quantile(struct buffer *b, double q)
{
	buffer_seconds(b, (uint64_t)nearbyint(q * 1e9));
}

static void put_histogram(struct buffer *b, const struct hist *h, const struct api_edges *edges)
{
	uint64_t samples = hist_samples(h);

	buffer_puts(b, ",\"count\":");
	buffer_u64(b, samples);
	buffer_puts(b, ",\"sum\":");
	buffer_seconds(b, h->sum_ns);
	for (size_t i = 0; i < QUANTILES; i++) {
		buffer_puts(b, ",\"");
		buffer_puts(b, quantiles[i].name);
		buffer_puts(b, "\":");
		if (samples)
			put_quantile(b, hist_quantile(h, quantiles[i].q));
		else
			buffer_puts(b, "null");
	}
	put_buckets(b, h, edges);
}

static void put_json(struct buffer *b, const struct series *s, const struct hist *h,
		     const struct api_edges *edges)
{
	buffer_puts(b, "{\"name\":\"");
	buffer_puts(b, s->metric->name);
	buffer_puts(b, "\",\"type\":\"");
	buffer_puts(b, type_names[s->metric->type]);
	buffer_puts(b, "\",\"labels\":");
	put_labels(b, s->labels);
	if (h) {
		put_histogram(b, h, edges);
	} else {
		buffer_puts(b, ",\"value\":");
		buffer_json_double(b, s->value);
	}
	buffer_char(b, '}');
}

/* --- CSV (RFC 4180) */

static void put_csv_header(struct buffer *b)
{
	buffer_puts(b, "name,type,labels,value,count,sum");
	for (size_t i = 0; i < QUANTILES; i++) {
		buffer_char(b, ',');
		buffer_puts(b, quantiles[i].name);
	}
	buffer_puts(b, "\r\n");
}

static void put_csv(struct buffer *b, const struct series *s, const struct hist *h)
{
	uint64_t samples = h ? hist_samples(h) : 0;

	buffer_puts(b, s->metric->name);
	buffer_char(b, ',');
	buffer_puts(b, type_names[s->metric->type]);
	buffer_puts(b, ",\"");
	for (const char *c = s->labels; *c; c++) {
		if (*c == '"')
			buffer_char(b, '"');
		buffer_char(b, *c);
	}
	buffer_puts(b, "\",");
	if (!h) {
		buffer_double(b, s->value);
		buffer_puts(b, ",,,,,,,\r\n");
		return;
	}
	buffer_char(b, ',');
	buffer_u64(b, samples);
	buffer_char(b, ',');
	buffer_seconds(b, h->sum_ns);
	for (size_t i = 0; i < QUANTILES; i++) {
		buffer_char(b, ',');
		if (samples)
			put_quantile(b, hist_quantile(h, quantiles[i].q));
	}
	buffer_puts(b, "\r\n");
}

/* --- GET /api/metrics */

static void put_page_of_json(struct buffer *b, struct walk *w, uint64_t offset, uint64_t limit,
			     const struct api_edges *edges)
{
	const struct series *s;
	struct timespec now;
	bool first = true;

	clock_gettime(CLOCK_REALTIME, &now);
	buffer_printf(b, "{\"time\":%lld.%03ld,\"total\":%llu,\"offset\":%llu,\"limit\":%llu,",
		      (long long)now.tv_sec, now.tv_nsec / 1000000,
		      (unsigned long long)walk_count(*w), (unsigned long long)offset,
		      (unsigned long long)limit);
	buffer_puts(b, "\"metrics\":[");
	for (; offset && walk_next(w); offset--)
		;
	for (; !b->failed && limit && (s = walk_next(w)); limit--) {
		buffer_puts(b, first ? "\n" : ",\n");
		first = false;
		put_json(b, s, store_series_hist(w->store, s), edges);
	}
	buffer_puts(b, "\n]}\n");
}

static void put_page_of_csv(struct buffer *b, struct walk *w, uint64_t offset, uint64_t limit)
{
	const struct series *s;

	put_csv_header(b);
	for (; offset && walk_next(w); offset--)
		;
	for (; !b->failed && limit && (s = walk_next(w)); limit--)
		put_csv(b, s, store_series_hist(w->store, s));
}

int api_metrics_get(struct http_request *q)
{
	const char *format = http_query(q, "format");
	struct walk w = {
	    .store = q->agent->store, .match = http_query(q, "match"), .now_ns = agent_now_ns()};
	uint64_t offset, limit;
	int status = http_query_uint(q, "offset", 0, 0, API_OFFSET_MAX, &offset);

	if (!status)
		status = http_query_uint(q, "limit", API_LIMIT_MAX, 1, API_LIMIT_MAX, &limit);
	if (status)
		return status;
	if (!format || strcmp(format, "json") == 0) {
		put_page_of_json(&q->out, &w, offset, limit, q->edges);
	} else if (strcmp(format, "csv") == 0) {
		q->content_type = "text/csv; charset=utf-8; header=present";
		put_page_of_csv(&q->out, &w, offset, limit);
	} else if (strcmp(format, "prometheus") == 0) {
		q->content_type = "text/plain; version=0.0.4; charset=utf-8";
		prometheus_write(w.store, w.now_ns, w.match, false, &q->out);
	} else {
		return http_error(q, MHD_HTTP_BAD_REQUEST, "format is json, csv or prometheus");
	}
	return MHD_HTTP_OK;
}

/* --- POST /api/syscall/exact */

int api_exact_post(struct http_request *q)
{
	uint64_t seconds;
	int status, r;

	if (!http_query(q, "seconds"))
		return http_error(q, MHD_HTTP_BAD_REQUEST,
				  "say for how long: ?seconds=1 to %d, or 0 to return",
				  API_EXACT_MAX_S);
	status = http_query_uint(q, "seconds", 0, 0, API_EXACT_MAX_S, &seconds);
	if (status)
		return status;
	r = agent_request_exact(q->agent, (uint32_t)seconds);
	if (r == -ENOTSUP)
		return http_error(q, MHD_HTTP_SERVICE_UNAVAILABLE,
				  "the syscall programs are not loaded; /api/status says why");
	if (r)
		return http_error(q, MHD_HTTP_SERVICE_UNAVAILABLE,
				  "the keeper did not take the request: %s", strerror(-r));
	buffer_printf(&q->out, "{\"accepted\":true,\"seconds\":%llu}\n",
		      (unsigned long long)seconds);
	return MHD_HTTP_ACCEPTED;
}
