/* services.c - GET /api/services and /api/services/slow: what answers and calls on this node.
 *
 * Source: sense/request.h, read when asked. Bounds: SERVICES_LIMIT_MAX services with OPERATIONS_MAX
 * operations each, SERVICES_SLOW_MAX samples. Cost: 50 us and 30 us a service.
 */
#include "serve/services.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "core/agent.h"
#include "sense/request.h"
#include "serve/http.h"

#define OPERATIONS_MAX 20

_Static_assert(SERVICES_LIMIT_MAX == REQUEST_SERVICES, "a page holds them all");
_Static_assert(SERVICES_SLOW_MAX == REQUEST_SAMPLES, "a page holds them all");

/* null if there is none */
static void add_number(cJSON *to, const char *key, double value)
{
	if (isnan(value))
		cJSON_AddNullToObject(to, key);
	else
		cJSON_AddNumberToObject(to, key, value);
}

/* A quantile to the nanosecond, which is what was measured. */
static void add_quantiles(cJSON *to, const char *prefix, const struct request_quantiles *q)
{
	const struct {
		const char *name;
		double value;
	} each[] = {{"p50", q->p50}, {"p95", q->p95}, {"p99", q->p99}};
	char key[32];

	for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
		snprintf(key, sizeof(key), "%s%s", prefix, each[i].name);
		add_number(to, key, nearbyint(each[i].value * 1e9) / 1e9);
	}
}

static void add_figures(cJSON *to, const struct request_figures *f)
{
	cJSON_AddNumberToObject(to, "requests_total", (double)f->requests);
	cJSON_AddNumberToObject(to, "errors_total", (double)f->errors);
	cJSON_AddNumberToObject(to, "rate", isnan(f->rate) ? 0 : f->rate);
	add_number(to, "error_ratio", f->error_ratio);
}

static void add_operations(cJSON *to, const struct request_source *s, uint32_t service,
			   uint64_t now)
{
	cJSON *list = cJSON_AddArrayToObject(to, "operations");
	struct request_operation_view operations[OPERATIONS_MAX];
	size_t n = request_operations(s, service, now, operations, OPERATIONS_MAX);

	for (size_t i = 0; i < n; i++) {
		cJSON *item = cJSON_CreateObject();
		struct request_quantiles duration;

		request_operation_quantiles(s, operations[i].slot, &duration);
		cJSON_AddStringToObject(item, "name", operations[i].name);
		add_figures(item, &operations[i].figures);
		add_quantiles(item, "", &duration);
		cJSON_AddItemToArray(list, item);
	}
}

static cJSON *service_json(const struct request_source *s, const struct request_service_view *v,
			   uint64_t now)
{
	struct request_quantiles duration, response, queue;
	cJSON *item = cJSON_CreateObject();

	cJSON_AddStringToObject(item, "name", v->name);
	cJSON_AddStringToObject(item, "protocol", v->protocol);
	cJSON_AddStringToObject(item, "direction", v->direction);
	add_number(item, "port", v->port > 0 ? v->port : NAN);
	cJSON_AddStringToObject(item, "cgroup", v->cgroup);
	cJSON_AddStringToObject(item, "container", v->container);
	add_figures(item, &v->figures);
	request_service_quantiles(s, v->slot, &duration, &response, &queue);
	add_quantiles(item, "", &duration);
	add_quantiles(item, "response_", &response);
	add_quantiles(item, "queue_", &queue);
	add_operations(item, s, v->slot, now);
	return item;
}

void services_add_unseen(cJSON *to, const struct agent *a)
{
	cJSON *unseen = cJSON_AddObjectToObject(to, "unseen_bytes");
	uint64_t bytes[REQUEST_UNSEEN_REASONS];

	request_unseen_bytes(a, bytes);
	for (int i = 0; i < REQUEST_UNSEEN_REASONS; i++)
		cJSON_AddNumberToObject(unseen, request_unseen_reasons[i], (double)bytes[i]);
}

/* 0, or the status of the error it wrote. */
static int parse_direction(struct http_request *q, uint32_t *ret)
{
	const char *text = http_query(q, "direction");

	*ret = REQUEST_ANY_DIRECTION;
	if (!text)
		return 0;
	for (uint32_t d = 0; d < TCP_DIRECTIONS; d++)
		if (strcmp(text, request_directions[d]) == 0) {
			*ret = d;
			return 0;
		}
	return http_error(q, MHD_HTTP_BAD_REQUEST, "direction is inbound or outbound");
}

/* 0, or the status of the error it wrote: the module does not run. */
static int find_source(struct http_request *q, const struct request_source **ret)
{
	*ret = request_source(q->agent);
	return *ret ? 0
		    : http_error(q, MHD_HTTP_SERVICE_UNAVAILABLE,
				 "requests are not seen here; /api/status says why");
}

int services_get(struct http_request *q)
{
	struct request_service_view views[REQUEST_SERVICES];
	const struct request_source *s;
	uint64_t limit, offset, now = agent_now_ns();
	uint32_t direction;
	cJSON *json, *list;
	size_t n;
	int status = parse_direction(q, &direction);

	if (!status)
		status =
		    http_query_uint(q, "limit", SERVICES_LIMIT_MAX, 1, SERVICES_LIMIT_MAX, &limit);
	if (!status)
		status = http_query_uint(q, "offset", 0, 0, SERVICES_LIMIT_MAX, &offset);
	if (!status)
		status = find_source(q, &s);
	if (status)
		return status;
	n = request_services(s, direction, now, views);
	json = cJSON_CreateObject();
	cJSON_AddNumberToObject(json, "window_seconds", request_window_seconds(s, now));
	cJSON_AddNumberToObject(json, "total", (double)n);
	list = cJSON_AddArrayToObject(json, "services");
	for (size_t i = offset; i < n && i - offset < limit; i++)
		cJSON_AddItemToArray(list, service_json(s, &views[i], now));
	services_add_unseen(json, q->agent);
	return http_json(q, json, MHD_HTTP_OK);
}

/* --- slow requests */

/* A socket of both families sees IPv4 peers as ::ffff:a.b.c.d. */
static void add_peer(cJSON *to, const struct request_slow *s)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	bool v6 = s->family == AF_INET6 && memcmp(s->peer, mapped, sizeof(mapped)) != 0;
	char address[INET6_ADDRSTRLEN] = "", text[INET6_ADDRSTRLEN + 10];

	if (s->family != AF_INET && s->family != AF_INET6) {
		cJSON_AddStringToObject(to, "peer", "unix");
		return;
	}
	if (v6)
		inet_ntop(AF_INET6, s->peer, address, sizeof(address));
	else
		inet_ntop(AF_INET, s->peer + (s->family == AF_INET6 ? sizeof(mapped) : 0), address,
			  sizeof(address));
	snprintf(text, sizeof(text), v6 ? "[%s]:%u" : "%s:%u", address, s->peer_port);
	cJSON_AddStringToObject(to, "peer", text);
}

/* Unix time of a moment on the monotonic clock. */
static double unix_time(uint64_t at_ns, uint64_t now_ns)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (double)t.tv_sec + t.tv_nsec / 1e9 - (now_ns - at_ns) / 1e9;
}

static void add_seconds(cJSON *to, const char *key, uint64_t ns)
{
	cJSON_AddNumberToObject(to, key, ns / 1e9);
}

/* The split is not known (all 0) if another task read the request. */
static cJSON *sample_json(const struct request_sample *x, uint64_t now)
{
	const struct request_slow *s = &x->slow;
	uint64_t known = s->run_queue_ns + s->cpu_ns;
	cJSON *item = cJSON_CreateObject();

	cJSON_AddNumberToObject(item, "at", unix_time(s->at_ns, now));
	cJSON_AddStringToObject(item, "service", x->service);
	cJSON_AddStringToObject(item, "operation", x->operation);
	cJSON_AddStringToObject(item, "outcome", request_outcomes[s->outcome & 1]);
	add_seconds(item, "duration_seconds", s->duration_ns);
	add_seconds(item, "queue_seconds", s->queue_ns);
	add_seconds(item, "run_queue_seconds", s->run_queue_ns);
	add_seconds(item, "cpu_seconds", s->cpu_ns);
	add_seconds(item, "disk_seconds", s->disk_ns);
	add_seconds(item, "blocked_seconds",
		    known && known < s->duration_ns ? s->duration_ns - known : 0);
	cJSON_AddStringToObject(item, "cgroup", x->cgroup);
	add_peer(item, s);
	cJSON_AddNumberToObject(item, "request_bytes", s->request_bytes);
	cJSON_AddNumberToObject(item, "response_bytes", s->response_bytes);
	cJSON_AddNumberToObject(item, "pid", s->pid);
	return item;
}

int services_slow_get(struct http_request *q)
{
	const char *service = http_query(q, "service");
	const struct request_sample *x;
	const struct request_source *s;
	uint64_t limit, now = agent_now_ns();
	cJSON *json, *list;
	int status = http_query_uint(q, "limit", 50, 1, SERVICES_SLOW_MAX, &limit);

	if (!status)
		status = find_source(q, &s);
	if (status)
		return status;
	json = cJSON_CreateObject();
	list = cJSON_AddArrayToObject(json, "slow");
	for (size_t i = 0; limit && (x = request_sample(s, i)); i++) {
		/* it is shown when its service has a name */
		if (!x->service[0] || (service && strcmp(service, x->service) != 0))
			continue;
		cJSON_AddItemToArray(list, sample_json(x, now));
		limit--;
	}
	return http_json(q, json, MHD_HTTP_OK);
}
