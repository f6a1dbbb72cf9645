/* request_test.c - the module "request" on arrays in memory: series, names, groups, slots that are
 * taken away, slow samples, the view of a window.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include "request_fixture.h"

#define DURATION "trimtab_request_duration_seconds"
#define REQUESTS "trimtab_requests_total"
#define MS 1000000ULL
#define FIRST REQUEST_OTHERS /* slot */

static int set_up(void **state)
{
	*state = requests_new();
	return 0;
}

static int tear_down(void **state)
{
	requests_free(*state);
	return 0;
}

/* Labels of a series in the order that they are written; the text lives for seven more calls. */
static const char *labels(const char *service, const char *protocol, const char *operation,
			  const char *direction, const char *outcome)
{
	static char texts[8][STORE_LABELS_MAX];
	static unsigned next;
	char *text = texts[next++ % 8];

	snprintf(text, STORE_LABELS_MAX,
		 "service=\"%s\",protocol=\"%s\",%s%s%sdirection=\"%s\"%s%s%s", service, protocol,
		 operation ? "operation=\"" : "", operation ? operation : "",
		 operation ? "\"," : "", direction, outcome ? ",outcome=\"" : "",
		 outcome ? outcome : "", outcome ? "\"" : "");
	return text;
}

static double requests(struct requests *r, const char *service, const char *operation,
		       const char *outcome)
{
	return requests_value(r, REQUESTS, labels(service, "redis", operation, "inbound", outcome));
}

/* One Redis service in the first slots, with a GET. */
static uint64_t redis(struct requests *r)
{
	uint64_t id = requests_cgroup(r, "/system.slice/redis.service");

	requests_service(r, FIRST, id, 6379, REQUEST_REDIS, TCP_INBOUND);
	requests_operation(r, FIRST, FIRST, "GET");
	return id;
}

/* For longer than a window, and than a name is waited for. */
static void stand_still(struct requests *r)
{
	for (int i = 0; i < 11; i++)
		requests_tick(r);
}

/* --- series */

static void off_without_the_probe(void **state)
{
	struct requests *r = *state;

	r->maps.request_services = NULL;
	assert_int_equal(requests_init(r), -ENOTSUP);
	assert_string_equal(r->agent.slots[0].reason, "the request probe is not loaded");
	assert_null(request_source(&r->agent));
	r->maps.request_services = r->service;
	r->config.request.enabled = false;
	assert_int_equal(requests_init(r), -ENOTSUP);
	assert_string_equal(r->agent.slots[0].reason, "request.enabled is false");
}

static void series_of_operations(void **state)
{
	const char *get = labels("redis:6379", "redis", "GET", "inbound", NULL);
	struct requests *r = *state;
	const struct hist *h;

	redis(r);
	requests_count(r, FIRST, 0, 2, MS, REQUEST_OK);
	requests_count(r, FIRST, 1, 3, 5 * MS, REQUEST_OK);
	requests_count(r, FIRST, SHARDS - 1, 4, MS, REQUEST_ERROR);
	/* counted, not timed */
	r->operation_counts[FIRST * SHARDS].outcome[REQUEST_OK] += 10;
	requests_operation(r, FIRST + 1, FIRST, "BLPOP");
	r->operation_counts[(FIRST + 1) * SHARDS].outcome[REQUEST_OK] = 7;
	assert_int_equal(requests_init(r), 0);
	requests_tick(r);
	assert_near(requests(r, "redis:6379", "GET", "ok"), 15, 0);
	assert_near(requests(r, "redis:6379", "GET", "error"), 4, 0);
	assert_near(requests(r, "redis:6379", "BLPOP", "ok"), 7, 0);
	assert_near(requests(r, "redis:6379", "BLPOP", "error"), 0, 0);
	h = requests_hist(r, DURATION, get);
	assert_non_null(h);
	assert_int_equal(hist_samples(h), 9);
	assert_int_equal(h->count[hist_slot(MS)], 6);
	assert_int_equal(h->count[hist_slot(5 * MS)], 3);
	assert_int_equal(h->sum_ns, 21 * MS);
	assert_null(
	    requests_hist(r, DURATION, labels("redis:6379", "redis", "BLPOP", "inbound", NULL)));
	/* the next tick sees what is new, and nothing is there that was not counted */
	requests_count(r, FIRST, 1, 1, 5 * MS, REQUEST_OK);
	requests_tick(r);
	assert_int_equal(requests_hist(r, DURATION, get)->count[hist_slot(5 * MS)], 4);
	assert_near(requests_sum(r, REQUESTS, NULL), 27, 0);
}

static void series_of_services(void **state)
{
	struct requests *r = *state;
	const struct hist *h;
	uint64_t id = requests_cgroup(r, "/system.slice/web.service");
	const char *in = labels("web:80", "http", NULL, "inbound", NULL);

	requests_service(r, FIRST, id, 80, REQUEST_HTTP, TCP_INBOUND);
	requests_service(r, FIRST + 1, id, 8080, REQUEST_HTTP, TCP_OUTBOUND);
	requests_service(r, FIRST + 2, id, 0, REQUEST_POSTGRESQL, TCP_OUTBOUND);
	requests_add(&requests_of(r, FIRST, 0)->response, 2, MS);
	requests_add(&requests_of(r, FIRST, 1)->response, 1, 7 * MS);
	requests_add(&requests_of(r, FIRST, 2)->queue, 5, 2 * MS);
	requests_of(r, FIRST, 0)->class[2] = 8;
	requests_of(r, FIRST, 1)->class[2] = 1;
	requests_of(r, FIRST, 1)->class[5] = 3;
	requests_of(r, FIRST + 1, 0)->unanswered = 6;
	requests_of(r, FIRST + 1, 2)->unanswered = 1;
	requests_init(r);
	requests_tick(r);
	h = requests_hist(r, "trimtab_request_response_seconds", in);
	assert_int_equal(hist_samples(h), 3);
	assert_int_equal(h->sum_ns, 9 * MS);
	h = requests_hist(r, "trimtab_request_queue_seconds", in);
	assert_int_equal(h->count[hist_slot(2 * MS)], 5);
	assert_near(requests_value(r, "trimtab_http_responses_total",
				   "service=\"web:80\",direction=\"inbound\",class=\"2xx\""),
		    9, 0);
	assert_near(requests_sum(r, "trimtab_http_responses_total", NULL), 12, 0);
	assert_near(requests_value(r, "trimtab_requests_unanswered_total",
				   labels("web:8080", "http", NULL, "outbound", NULL)),
		    7, 0);
	assert_near(requests_value(r, "trimtab_requests_unanswered_total",
				   labels("web:unix", "postgresql", NULL, "outbound", NULL)),
		    0, 0);
	/* one histogram moves, the other one stays */
	requests_add(&requests_of(r, FIRST, 2)->queue, 1, 2 * MS);
	requests_tick(r);
	assert_int_equal(hist_samples(requests_hist(r, "trimtab_request_queue_seconds", in)), 6);
	assert_int_equal(hist_samples(requests_hist(r, "trimtab_request_response_seconds", in)), 3);
}

static void losses_and_unseen_bytes(void **state)
{
	static const char *const lost[REQUEST_LOST_REASONS] = {
	    "connections_full", "out_of_sync", "call_too_long", "memory", "in_flight", "gap",
	    "slow_ring",	"no_memory",   "statement_ring"};
	static const char *const unseen[REQUEST_UNSEEN_REASONS] = {"tls", "http2", "io_uring",
								   "compat"};
	struct requests *r = *state;
	char text[80];

	for (int i = 0; i < REQUEST_LOST_REASONS; i++)
		for (int shard = 0; shard < SHARDS; shard++)
			r->totals[shard].lost[i] = 10 * i + shard;
	for (int i = 0; i < REQUEST_UNSEEN_REASONS; i++)
		for (int shard = 0; shard < SHARDS; shard++)
			r->totals[shard].unseen_bytes[i] = 100 * i + shard;
	requests_init(r);
	requests_tick(r);
	for (int i = 0; i < REQUEST_LOST_REASONS; i++) {
		snprintf(text, sizeof(text), "probe=\"request\",reason=\"%s\"", lost[i]);
		assert_near(requests_value(r, "trimtab_lost_total", text), 30 * i + 3, 0);
	}
	for (int i = 0; i < REQUEST_UNSEEN_REASONS; i++) {
		snprintf(text, sizeof(text), "reason=\"%s\"", unseen[i]);
		assert_near(requests_value(r, "trimtab_request_unseen_bytes_total", text),
			    300 * i + 3, 0);
	}
}

static void other_is_there_when_it_counts(void **state)
{
	const struct request_key key = {.protocol = REQUEST_AMQP, .direction = TCP_OUTBOUND};
	struct requests *r = *state;
	unsigned n;

	requests_init(r);
	requests_tick(r);
	requests_sum(r, REQUESTS, &n);
	assert_int_equal(n, 0);
	requests_sum(r, "trimtab_requests_unanswered_total", &n);
	assert_int_equal(n, 0);
	requests_count(r, request_other_of(&key), 1, 5, MS, REQUEST_OK);
	requests_of(r, request_other_of(&key), 1)->unanswered = 2;
	requests_tick(r);
	assert_near(requests_value(r, REQUESTS, labels("other", "amqp", "other", "outbound", "ok")),
		    5, 0);
	assert_near(requests_value(r, "trimtab_requests_unanswered_total",
				   labels("other", "amqp", NULL, "outbound", NULL)),
		    2, 0);
	requests_sum(r, REQUESTS, &n);
	assert_int_equal(n, 2);
}

static void a_histogram_made_anew_is_filled(void **state)
{
	const char *get = labels("redis:6379", "redis", "GET", "inbound", NULL);
	struct requests *r = *state;
	const struct metric *m;

	redis(r);
	requests_count(r, FIRST, 0, 5, MS, REQUEST_OK);
	requests_init(r);
	requests_tick(r);
	m = store_find(r->agent.store, r->now_ns, DURATION, get)->metric;
	store_end(r->agent.store, m, r->now_ns + 1); /* its place was taken */
	assert_null(requests_hist(r, DURATION, get));
	requests_tick(r);
	assert_int_equal(hist_samples(requests_hist(r, DURATION, get)), 5);
}

static void slots_that_are_half_written_are_none(void **state)
{
	struct requests *r = *state;
	unsigned n;

	redis(r);
	requests_count(r, FIRST, 0, 5, MS, REQUEST_OK);
	r->service[FIRST].key.protocol = REQUEST_PROTOCOLS;
	requests_service(r, FIRST + 1, 1, 1, REQUEST_HTTP, TCP_INBOUND);
	r->service[FIRST + 1].key.direction = TCP_DIRECTIONS;
	requests_operation(r, FIRST + 1, UINT16_MAX, "GET");
	requests_operation(r, FIRST + 3, FIRST + 1, "GET");
	requests_operation(r, FIRST + 2, FIRST + 9, "GET"); /* of a service that is not there */
	requests_init(r);
	requests_tick(r);
	stand_still(r);
	requests_sum(r, REQUESTS, &n);
	assert_int_equal(n, 0);
	r->service[FIRST].key.protocol = REQUEST_REDIS;
	requests_tick(r);
	assert_near(requests(r, "redis:6379", "GET", "ok"), 5, 0);
	requests_sum(r, REQUESTS, &n);
	assert_int_equal(n, 2);
}

static void names_of_operations_are_printable(void **state)
{
	struct requests *r = *state;

	redis(r);
	memset(r->operation[FIRST].name, 'x', REQUEST_NAME); /* and no NUL */
	memcpy(r->operation[FIRST].name, "a\xff\n\"", 4);
	requests_count(r, FIRST, 0, 1, MS, REQUEST_OK);
	requests_init(r);
	requests_tick(r);
	assert_near(requests(r, "redis:6379", "a??\\\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
			     "ok"),
		    1, 0);
}

/* --- names */

static void a_service_waits_for_its_name(void **state)
{
	struct requests *r = *state;
	unsigned n;
	uint64_t id;

	requests_service(r, FIRST, 4711, 80, REQUEST_REDIS, TCP_INBOUND);
	requests_operation(r, FIRST, FIRST, "GET");
	requests_count(r, FIRST, 0, 5, MS, REQUEST_OK);
	requests_init(r);
	requests_tick(r);
	requests_sum(r, REQUESTS, &n);
	assert_int_equal(n, 0);
	/* one that comes into being meanwhile is found by the next walk */
	id = requests_cgroup(r, "/system.slice/late.service");
	requests_service(r, FIRST + 1, id, 81, REQUEST_REDIS, TCP_INBOUND);
	requests_operation(r, FIRST + 1, FIRST + 1, "GET");
	requests_count(r, FIRST + 1, 0, 6, MS, REQUEST_OK);
	stand_still(r);
	assert_near(requests(r, "comm8:80", "GET", "ok"), 5, 0);
	assert_near(requests(r, "late:81", "GET", "ok"), 6, 0);
	requests_sum(r, REQUESTS, &n);
	assert_int_equal(n, 4);
	/* it has a name now, and keeps it */
	requests_tick(r);
	assert_near(requests(r, "comm8:80", "GET", "ok"), 5, 0);
}

static void a_service_keeps_its_name(void **state)
{
	struct requests *r = *state;
	uint64_t id = redis(r);

	requests_count(r, FIRST, 0, 5, MS, REQUEST_OK);
	requests_init(r);
	requests_tick(r);
	requests_rmdir(r, "/system.slice/redis.service");
	for (int i = 0; i < 20; i++)
		requests_tick(r);
	assert_near(requests(r, "redis:6379", "GET", "ok"), 5, 0);
	/* so does it through a restart of the agent, though nobody can find the cgroup any more */
	requests_fini(r);
	requests_count(r, FIRST, 0, 1, MS, REQUEST_OK);
	requests_init(r);
	requests_tick(r);
	assert_near(requests(r, "redis:6379", "GET", "ok"), 6, 0);
	assert_near(requests_sum(r, REQUESTS, NULL), 6, 0);
	/* another one in that slot does not take it over */
	requests_fini(r);
	requests_service(r, FIRST, id, 6380, REQUEST_REDIS, TCP_INBOUND);
	requests_init(r);
	requests_tick(r);
	assert_true(isnan(requests(r, "redis:6380", "GET", "ok")));
	assert_true(isnan(requests(r, "redis:6379", "GET", "ok")));
}

static void a_pod_waits_for_its_logs(void **state)
{
	static const char path[] =
	    "/kubepods/pod8f0b1c2d-3e4f-4a5b-8c6d-7e8f9a0b1c2d/"
	    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	struct requests *r = *state;

	for (uint32_t i = 0; i < 2; i++) {
		requests_service(r, FIRST + i, requests_cgroup(r, path), 80 + i, REQUEST_REDIS,
				 TCP_INBOUND);
		requests_operation(r, FIRST + i, FIRST + i, "GET");
		if (i == 1)
			break;
		requests_init(r);
		requests_tick(r);
		assert_true(isnan(requests(r, "container:0123456789ab:80", "GET", "ok")));
		stand_still(r);
		assert_near(requests(r, "container:0123456789ab:80", "GET", "ok"), 0, 0);
	}
	fixture_write(&r->f, "var/log/pods/shop_web_8f0b1c2d-3e4f-4a5b-8c6d-7e8f9a0b1c2d/php/0.log",
		      "");
	requests_tick(r);
	assert_near(requests(r, "shop/web/php:81", "GET", "ok"), 0, 0);
	/* named once, and for good */
	assert_near(requests(r, "container:0123456789ab:80", "GET", "ok"), 0, 0);
}

/* --- groups */

/* A unit that is restarted again and again: a new cgroup, a new slot, the same series. */
static void a_restarted_unit_is_one_series(void **state)
{
	struct requests *r = *state;
	double now, last = 0, n = 0;
	const struct hist *h;
	unsigned series;

	requests_init(r);
	for (uint32_t i = 0; i < 20; i++) {
		char parent[64];
		uint64_t id;

		snprintf(parent, sizeof(parent), "/s%u.slice/redis.service", i);
		id = requests_cgroup(r, parent);
		requests_service(r, FIRST + i, id, 6379, REQUEST_REDIS, TCP_INBOUND);
		requests_operation(r, FIRST + 2 * i, FIRST + i, "GET");
		requests_operation(r, FIRST + 2 * i + 1, FIRST + i, "SET");
		for (uint32_t k = 0; k <= i; k++) { /* old ones still have a few */
			requests_count(r, FIRST + 2 * k, k % SHARDS, 1 + i, MS, REQUEST_OK);
			requests_add(&requests_of(r, FIRST + k, 0)->queue, 1 + i, MS);
			n += 1 + i;
		}
		/* the walk for the new id comes after a while */
		do {
			requests_tick(r);
			now = requests(r, "redis:6379", "GET", "ok");
			now = isnan(now) ? 0 : now;
			assert_true(now >= last);
			last = now;
			requests_sum(r, REQUESTS, &series);
			assert_true(series <= 4);
		} while (last < n && r->now_ns < START + 10000 * SECOND);
		assert_near(last, n, 0);
		assert_int_equal(series, 4);
		h = requests_hist(r, DURATION,
				  labels("redis:6379", "redis", "GET", "inbound", NULL));
		assert_int_equal(hist_samples(h), (uint64_t)n);
		h = requests_hist(r, "trimtab_request_queue_seconds",
				  labels("redis:6379", "redis", NULL, "inbound", NULL));
		assert_int_equal(hist_samples(h), (uint64_t)n);
	}
	assert_near(requests_sum(r, DURATION, &series), n, 0);
	assert_int_equal(series, 1);
	assert_near(requests_sum(r, "trimtab_request_queue_seconds", &series), n, 0);
	assert_int_equal(series, 1);
}

/* The same name, but another protocol or direction, is another series. */
static void what_differs_stays_apart(void **state)
{
	struct requests *r = *state;
	uint64_t id = redis(r);
	unsigned n;

	requests_service(r, FIRST + 1, id, 6379, REQUEST_REDIS, TCP_OUTBOUND);
	requests_service(r, FIRST + 2, id, 6379, REQUEST_HTTP, TCP_INBOUND);
	requests_operation(r, FIRST + 1, FIRST + 1, "GET");
	requests_operation(r, FIRST + 2, FIRST + 2, "GET");
	for (uint32_t i = 0; i < 3; i++) {
		requests_count(r, FIRST + i, 0, 10 + i, MS, REQUEST_OK);
		requests_of(r, FIRST + i, 0)->unanswered = 20 + i;
	}
	requests_init(r);
	requests_tick(r);
	requests_sum(r, REQUESTS, &n);
	assert_int_equal(n, 6);
	requests_sum(r, "trimtab_requests_unanswered_total", &n);
	assert_int_equal(n, 3);
	assert_near(requests_value(r, "trimtab_requests_unanswered_total",
				   labels("redis:6379", "http", NULL, "inbound", NULL)),
		    22, 0);
	assert_near(requests_value(r, REQUESTS,
				   labels("redis:6379", "redis", "GET", "outbound", "ok")),
		    11, 0);
	assert_near(requests_value(r, REQUESTS,
				   labels("redis:6379", "http", "GET", "inbound", "ok")),
		    12, 0);
}

/* Two slots of one name; one is folded into "other": the sum over all series stays what it was. */
static void a_slot_taken_away_is_not_there_twice(void **state)
{
	struct requests *r = *state;
	double before;

	redis(r);
	requests_service(r, FIRST + 1, requests_cgroup(r, "/b.slice/redis.service"), 6379,
			 REQUEST_REDIS, TCP_INBOUND);
	requests_operation(r, FIRST + 1, FIRST + 1, "GET");
	requests_service(r, FIRST + 2, requests_cgroup(r, "/lone.service"), 1, REQUEST_REDIS,
			 TCP_INBOUND);
	requests_operation(r, FIRST + 2, FIRST + 2, "GET");
	for (uint32_t i = 0; i < 3; i++) {
		requests_count(r, FIRST + i, i, 100 + i, MS, REQUEST_OK);
		requests_of(r, FIRST + i, i)->unanswered = 7;
	}
	requests_init(r);
	requests_tick(r);
	before = requests_sum(r, REQUESTS, NULL);
	assert_near(before, 303, 0);
	requests_take_back(r, FIRST, FIRST);
	requests_take_back(r, FIRST + 2, FIRST + 2);
	requests_tick(r);
	assert_near(requests_sum(r, REQUESTS, NULL), before, 0);
	assert_near(requests_sum(r, DURATION, NULL), before, 0);
	assert_near(requests_sum(r, "trimtab_requests_unanswered_total", NULL), 21, 0);
	assert_near(requests(r, "redis:6379", "GET", "ok"), 101, 0);
	assert_near(requests(r, "other", "other", "ok"), 202, 0);
	assert_true(isnan(requests(r, "lone:1", "GET", "ok")));
	/* nor is it if that happened while there was no agent */
	requests_fini(r);
	requests_take_back(r, FIRST + 1, FIRST + 1);
	requests_init(r);
	requests_tick(r);
	assert_near(requests_sum(r, REQUESTS, NULL), before, 0);
	assert_true(isnan(requests(r, "redis:6379", "GET", "ok")));
}

/* --- request.untimed */

static bool untimed(const struct requests *r, uint32_t slot)
{
	return r->operation[slot].flags & REQUEST_UNTIMED;
}

static void restart(struct requests *r, const char *pattern)
{
	requests_fini(r);
	r->config.request.untimed = (char *)pattern;
	assert_int_equal(requests_init(r), 0);
	requests_tick(r);
}

static void untimed_marks_what_matches(void **state)
{
	struct requests *r = *state;

	redis(r);
	requests_operation(r, FIRST + 1, FIRST, "WAIT");
	requests_operation(r, FIRST + 2, FIRST, "BLPOP");
	r->operation[FIRST + 2].flags = REQUEST_UNTIMED; /* the programs know that themselves */
	requests_init(r);
	requests_tick(r);
	assert_false(untimed(r, FIRST) || untimed(r, FIRST + 1));
	restart(r, "^redis:6379 (WAIT|BLPOP|NEW)$");
	assert_false(untimed(r, FIRST));
	assert_true(untimed(r, FIRST + 1));
	requests_operation(r, FIRST + 3, FIRST, "NEW");
	requests_tick(r);
	assert_true(untimed(r, FIRST + 3));
	restart(r, "GET");
	assert_true(untimed(r, FIRST));
	assert_false(untimed(r, FIRST + 1) || untimed(r, FIRST + 3));
	restart(r, "");
	assert_false(untimed(r, FIRST));
}

/* What the programs marked stays so, in a slot that the agent had marked before, too. */
static void untimed_leaves_what_others_marked(void **state)
{
	struct requests *r = *state;

	redis(r);
	requests_operation(r, FIRST + 2, FIRST, "BLPOP");
	r->operation[FIRST + 2].flags = REQUEST_UNTIMED;
	r->config.request.untimed = (char *)" GET$";
	requests_init(r);
	requests_tick(r);
	assert_true(untimed(r, FIRST));
	requests_fini(r);
	memset(&r->operation[FIRST], 0, sizeof(r->operation[FIRST]));
	requests_operation(r, FIRST, FIRST, "BRPOP");
	r->operation[FIRST].flags = REQUEST_UNTIMED;
	restart(r, "");
	assert_true(untimed(r, FIRST));
	assert_true(untimed(r, FIRST + 2));
}

/* --- slow requests */

static void take(struct requests *r, uint16_t service, uint16_t operation, uint32_t pid)
{
	const struct request_slow slow = {.service = service,
					  .operation = operation,
					  .pid = pid,
					  .cgroup =
					      r->service[service % REQUEST_SERVICES].key.cgroup};

	request_slow_take(requests_source(r), &slow, sizeof(slow));
}

static void the_last_slow_requests_are_kept(void **state)
{
	struct requests *r = *state;
	const struct request_sample *x;

	redis(r);
	requests_init(r);
	requests_tick(r);
	assert_null(request_sample(requests_source(r), 0));
	for (uint32_t i = 0; i < REQUEST_SAMPLES + 44; i++)
		take(r, FIRST, FIRST, i);
	for (uint32_t i = 0; i < REQUEST_SAMPLES; i++) {
		x = request_sample(requests_source(r), i);
		assert_non_null(x);
		assert_int_equal(x->slow.pid, REQUEST_SAMPLES + 43 - i);
	}
	assert_null(request_sample(requests_source(r), REQUEST_SAMPLES));
	assert_string_equal(x->service, "redis:6379");
	assert_string_equal(x->operation, "GET");
	assert_string_equal(x->cgroup, "/system.slice/redis.service");
}

static void what_is_no_sample_is_passed_over(void **state)
{
	const struct request_slow good = {.service = FIRST}, bad_outcome = {.outcome = 2};
	struct requests *r = *state;

	redis(r);
	requests_init(r);
	requests_tick(r);
	take(r, REQUEST_SERVICES, FIRST, 1);
	take(r, FIRST, REQUEST_OPERATIONS, 1);
	request_slow_take(requests_source(r), &bad_outcome, sizeof(bad_outcome));
	request_slow_take(requests_source(r), &good, sizeof(good) - 1);
	assert_null(request_sample(requests_source(r), 0));
	take(r, FIRST, REQUEST_OPERATIONS - 1, 1);
	assert_string_equal(request_sample(requests_source(r), 0)->operation, "other");
}

static void samples_wait_for_the_name(void **state)
{
	struct requests *r = *state;
	const struct request_sample *x;

	requests_service(r, FIRST, 4711, 80, REQUEST_REDIS, TCP_INBOUND);
	requests_operation(r, FIRST, FIRST, "GET");
	requests_init(r);
	requests_tick(r);
	take(r, FIRST, FIRST, 1);
	take(r, 0, 0, 2);
	x = request_sample(requests_source(r), 1);
	assert_string_equal(x->service, "");
	stand_still(r);
	assert_string_equal(x->service, "comm8:80");
	assert_string_equal(x->cgroup, "");
	assert_string_equal(request_sample(requests_source(r), 0)->service, "other");
	/* the slot's next tenant does not give its name to what was not its own */
	redis(r);
	stand_still(r);
	assert_string_equal(x->service, "comm8:80");
}

/* Without the ring nobody would take them. */
static void nothing_is_slow_without_a_ring(void **state)
{
	struct requests *r = *state;

	r->config.request.slow_ms = 500;
	r->service[FIRST].slow_ns = 77;
	requests_init(r);
	assert_non_null(strstr(r->agent.slots[0].reason, "slow requests are not sampled"));
	requests_tick(r);
	assert_int_equal(r->service[FIRST].slow_ns, 0);
}

/* --- the view */

static struct request_service_view view[REQUEST_SERVICES];

static size_t look(struct requests *r, uint32_t direction)
{
	return request_services(requests_source(r), direction, r->now_ns, view);
}

/* How many requests, of this median, and how many responses a service had in the window. */
static void expect_window(struct requests *r, const char *name, double n, double p50,
			  double response_p50)
{
	struct request_quantiles duration, response, queue;
	double window = request_window_seconds(requests_source(r), r->now_ns);
	size_t services = look(r, REQUEST_ANY_DIRECTION), i = 0;

	while (i < services && strcmp(view[i].name, name) != 0)
		i++;
	assert_true(i < services);
	assert_near(view[i].figures.rate * window, n, 1e-6);
	request_service_quantiles(requests_source(r), view[i].slot, &duration, &response, &queue);
	assert_int_equal(isnan(duration.p50), isnan(p50));
	assert_int_equal(isnan(response.p50), isnan(response_p50));
	if (!isnan(p50))
		assert_near(duration.p50, p50, p50 * 0.045);
	if (!isnan(response_p50))
		assert_near(response.p50, response_p50, response_p50 * 0.045);
}

static void rates_are_of_the_window(void **state)
{
	struct requests *r = *state;
	struct request_quantiles duration, response, queue;

	redis(r);
	requests_count(r, FIRST, 0, 1000000, MS, REQUEST_ERROR); /* before the start */
	requests_init(r);
	requests_tick(r);
	assert_int_equal(look(r, REQUEST_ANY_DIRECTION), 1);
	assert_near(view[0].figures.rate, 0, 0);
	assert_true(isnan(view[0].figures.error_ratio));
	for (int i = 0; i < 100; i++) { /* 10 a second, every fifth one an error */
		double window;

		requests_count(r, FIRST, 0, 16, i < 25 ? MS : 8 * MS, REQUEST_OK);
		requests_count(r, FIRST, 1, 4, 100 * MS, REQUEST_ERROR);
		requests_add(&requests_of(r, FIRST, 0)->response, 20, i < 25 ? 2 * MS : 16 * MS);
		requests_add(&requests_of(r, FIRST, 2)->queue, 20, 4 * MS);
		requests_tick(r);
		window = request_window_seconds(requests_source(r), r->now_ns);
		if (i >= 10)
			assert_true(window >= 10 && window <= 20);
		look(r, REQUEST_ANY_DIRECTION);
		assert_near(view[0].figures.rate, 10, 1e-9);
		assert_near(view[0].figures.error_ratio, 0.2, 1e-9);
	}
	assert_int_equal(view[0].figures.requests, 1002000);
	assert_int_equal(view[0].figures.errors, 1000400);
	expect_window(r, "redis:6379", 10 * request_window_seconds(requests_source(r), r->now_ns),
		      0.008, 0.016);
	request_service_quantiles(requests_source(r), view[0].slot, &duration, &response, &queue);
	assert_near(duration.p95, 0.1, 0.1 * 0.045);
	assert_near(response.p99, 0.016, 0.016 * 0.045);
	assert_near(queue.p99, 0.004, 0.004 * 0.045);
	/* when it has stood still for long enough, there is nothing */
	stand_still(r);
	expect_window(r, "redis:6379", 0, NAN, NAN);
	look(r, REQUEST_ANY_DIRECTION);
	assert_int_equal(view[0].figures.requests, 1002000);
}

/* What a slot had counted is old, though "other" has only just got it. */
static void a_slot_taken_away_makes_no_rate(void **state)
{
	struct requests *r = *state;

	redis(r);
	requests_init(r);
	requests_tick(r);
	requests_count(r, FIRST, 0, 100000, MS, REQUEST_OK);
	requests_add(&requests_of(r, FIRST, 0)->response, 100000, 2 * MS);
	stand_still(r);
	requests_count(r, FIRST, 0, 5, 50 * MS, REQUEST_OK);
	requests_add(&requests_of(r, FIRST, 0)->response, 5, 70 * MS);
	requests_take_back(r, FIRST, FIRST);
	requests_tick(r);
	assert_int_equal(look(r, REQUEST_ANY_DIRECTION), 1);
	assert_int_equal(view[0].port, -1);
	assert_int_equal(view[0].figures.requests, 100005);
	expect_window(r, "other", 5, 0.05, 0.07);
	/* the next tenant begins from nothing, even if it does just what the last one did */
	redis(r);
	requests_count(r, FIRST, 0, 100000, MS, REQUEST_OK);
	requests_add(&requests_of(r, FIRST, 0)->response, 100000, 2 * MS);
	requests_tick(r);
	expect_window(r, "redis:6379", 100000, 0.001, 0.002);
	expect_window(r, "other", 5, 0.05, 0.07);
	stand_still(r);
	expect_window(r, "redis:6379", 0, NAN, NAN);
	expect_window(r, "other", 0, NAN, NAN);
	/* one that was taken away and is back before anybody looked */
	requests_take_back(r, FIRST, FIRST);
	redis(r);
	requests_count(r, FIRST, 0, 3, MS, REQUEST_OK);
	requests_tick(r);
	expect_window(r, "redis:6379", 0, NAN, NAN);
}

static void the_busiest_come_first(void **state)
{
	struct requests *r = *state;
	struct request_operation_view operations[20];
	char path[32];

	requests_init(r);
	requests_tick(r);
	for (uint32_t i = 0; i < 6; i++) {
		snprintf(path, sizeof(path), "/u%u.service", i);
		requests_service(r, FIRST + i, requests_cgroup(r, path), i == 5 ? 0 : 80 + i,
				 REQUEST_HTTP, i % 2 ? TCP_OUTBOUND : TCP_INBOUND);
	}
	for (uint32_t i = 0; i < 30; i++) { /* all of the same service */
		snprintf(path, sizeof(path), "GET /%u", i);
		requests_operation(r, FIRST + 6 + i, FIRST + 3, path);
		requests_count(r, FIRST + 6 + i, 0, 1 + (i * 7) % 30, MS, REQUEST_OK);
	}
	for (uint32_t i = 0; i < 6; i++) {
		requests_operation(r, FIRST + i, FIRST + i, "GET /");
		requests_count(r, FIRST + i, 0, 1000 + (i * 5) % 6, MS, REQUEST_OK);
	}
	for (uint64_t waited = 0; waited < CGROUP_NAMES_AGE_NS; waited += PERIOD)
		requests_tick(r); /* for the names, but no longer than the window */
	assert_int_equal(look(r, TCP_OUTBOUND), 3);
	assert_int_equal(look(r, TCP_INBOUND), 3);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(view[i].direction, "inbound");
	assert_int_equal(look(r, REQUEST_ANY_DIRECTION), 6);
	assert_string_equal(view[0].name, "u3:83");
	assert_int_equal(view[0].figures.requests, 1003 + 465);
	assert_int_equal(view[0].port, 83);
	for (size_t i = 1; i < 6; i++) {
		assert_true(view[i - 1].figures.rate > view[i].figures.rate);
		if (strcmp(view[i].name, "u5:unix") == 0)
			assert_int_equal(view[i].port, 0);
	}
	assert_int_equal(
	    request_operations(requests_source(r), view[0].slot, r->now_ns, operations, 20), 20);
	assert_string_equal(operations[0].name, "GET /");
	for (size_t i = 1; i < 20; i++) {
		assert_true(operations[i - 1].figures.rate > operations[i].figures.rate);
		assert_int_equal(operations[i].figures.requests, 31 - i);
	}
}

/* The cgroup of a group is that of its last restart. */
static void the_last_cgroup_is_shown(void **state)
{
	static const char path[] =
	    "/docker/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	struct requests *r = *state;
	uint64_t last = requests_cgroup(r, "/last.slice/redis.service");

	requests_service(r, FIRST + 1, requests_cgroup(r, "/system.slice/redis.service"), 6379,
			 REQUEST_REDIS, TCP_INBOUND);
	requests_service(r, FIRST + 2, requests_cgroup(r, path), 80, REQUEST_REDIS, TCP_INBOUND);
	requests_init(r);
	requests_tick(r);
	requests_service(r, FIRST, last, 6379, REQUEST_REDIS, TCP_INBOUND);
	requests_tick(r);
	assert_int_equal(look(r, REQUEST_ANY_DIRECTION), 2);
	assert_string_equal(view[0].name, "container:0123456789ab:80");
	assert_string_equal(view[0].container, "0123456789ab");
	assert_string_equal(view[0].cgroup, path);
	assert_string_equal(view[1].name, "redis:6379");
	assert_string_equal(view[1].cgroup, "/last.slice/redis.service");
	assert_string_equal(view[1].container, "");
}

/* Every slot in use: the sums are right to the last one. */
static void all_slots_in_use(void **state)
{
	struct requests *r = *state;
	uint64_t id = requests_cgroup(r, "/all.service");
	char name[32];
	unsigned n;

	for (uint32_t i = FIRST; i < REQUEST_SERVICES; i++)
		requests_service(r, i, id, i, REQUEST_REDIS, TCP_INBOUND);
	for (uint32_t i = FIRST; i < REQUEST_OPERATIONS; i++) {
		snprintf(name, sizeof(name), "OP%u", i);
		requests_operation(r, i, FIRST + i % (REQUEST_SERVICES - FIRST), name);
		requests_count(r, i, i % SHARDS, i, MS, REQUEST_OK);
	}
	requests_init(r);
	requests_tick(r);
	assert_near(requests_sum(r, REQUESTS, &n), 511 * 512 / 2 - 7 * 8 / 2, 0);
	assert_int_equal(n, 2 * (REQUEST_OPERATIONS - FIRST));
	requests_sum(r, DURATION, &n);
	assert_int_equal(n, REQUEST_OPERATIONS - FIRST);
	assert_int_equal(look(r, REQUEST_ANY_DIRECTION), REQUEST_SERVICES - FIRST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	    TEST(off_without_the_probe),
	    TEST(series_of_operations),
	    TEST(series_of_services),
	    TEST(losses_and_unseen_bytes),
	    TEST(other_is_there_when_it_counts),
	    TEST(a_histogram_made_anew_is_filled),
	    TEST(slots_that_are_half_written_are_none),
	    TEST(names_of_operations_are_printable),
	    TEST(a_service_waits_for_its_name),
	    TEST(a_service_keeps_its_name),
	    TEST(a_pod_waits_for_its_logs),
	    TEST(a_restarted_unit_is_one_series),
	    TEST(what_differs_stays_apart),
	    TEST(a_slot_taken_away_is_not_there_twice),
	    TEST(untimed_marks_what_matches),
	    TEST(untimed_leaves_what_others_marked),
	    TEST(the_last_slow_requests_are_kept),
	    TEST(what_is_no_sample_is_passed_over),
	    TEST(samples_wait_for_the_name),
	    TEST(nothing_is_slow_without_a_ring),
	    TEST(rates_are_of_the_window),
	    TEST(a_slot_taken_away_makes_no_rate),
	    TEST(the_busiest_come_first),
	    TEST(the_last_cgroup_is_shown),
	    TEST(all_slots_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
