/* statements.c - GET /api/services/statements: which statements of PostgreSQL the services execute.
 *
 * Source: sense/request.h, read when asked. Bounds: STATEMENTS_BUSIEST of each service,
 * STATEMENTS_LIMIT_MAX in all. Cost: 50 us and 30 us a service.
 */
#include "serve/statements.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>
#include "core/agent.h"
#include "sense/request.h"
#include "serve/http.h"

_Static_assert(STATEMENTS_LIMIT_MAX == REQUEST_SERVICES * STATEMENTS_BUSIEST, "holds them all");

/* The part of them all that is asked for. */
struct page {
	uint64_t offset, limit, seen;
	cJSON *list;
};

static void add_statement(struct page *page, const struct request_service_view *service,
			  const struct statement_view *v)
{
	double rate = isnan(service->figures.rate) ? 0 : service->figures.rate;
	cJSON *item;

	if (page->seen++ < page->offset || page->seen - page->offset > page->limit)
		return;
	item = cJSON_CreateObject();
	cJSON_AddStringToObject(item, "service", service->name);
	cJSON_AddStringToObject(item, "protocol", service->protocol);
	cJSON_AddStringToObject(item, "direction", service->direction);
	if (v->text)
		cJSON_AddStringToObject(item, "statement", v->text);
	else
		cJSON_AddNullToObject(item, "statement");
	cJSON_AddNumberToObject(item, "samples", (double)v->samples);
	cJSON_AddNumberToObject(item, "share", v->share);
	cJSON_AddNumberToObject(item, "rate_estimated", v->share * rate);
	cJSON_AddItemToArray(page->list, item);
}

static void add_statements(struct page *page, const struct request_source *s, const char *service,
			   uint64_t now)
{
	struct request_service_view services[REQUEST_SERVICES];
	struct statement_view statements[STATEMENTS_BUSIEST];
	size_t n = request_services(s, REQUEST_ANY_DIRECTION, now, services), m;

	for (size_t i = 0; i < n; i++) {
		if (service && strcmp(service, services[i].name) != 0)
			continue;
		m = request_statements(s, services[i].slot, statements);
		for (size_t k = 0; k < m; k++)
			add_statement(page, &services[i], &statements[k]);
	}
}

int statements_get(struct http_request *q)
{
	const struct request_source *s = request_source(q->agent);
	struct page page = {0};
	uint64_t now = agent_now_ns();
	cJSON *json;
	int status = http_query_uint(q, "limit", 100, 1, STATEMENTS_LIMIT_MAX, &page.limit);

	if (!status)
		status = http_query_uint(q, "offset", 0, 0, STATEMENTS_LIMIT_MAX, &page.offset);
	if (!status && !s)
		status = http_error(q, MHD_HTTP_SERVICE_UNAVAILABLE,
				    "requests are not seen here; /api/status says why");
	if (status)
		return status;
	json = cJSON_CreateObject();
	cJSON_AddNumberToObject(json, "window_seconds", request_statements_seconds(s, now));
	page.list = cJSON_CreateArray();
	add_statements(&page, s, http_query(q, "service"), now);
	cJSON_AddNumberToObject(json, "total", (double)page.seen);
	cJSON_AddItemToObject(json, "statements", page.list);
	return http_json(q, json, MHD_HTTP_OK);
}
