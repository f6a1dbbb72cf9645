/* routes.c - see routes.h for the contract. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "serve/api.h"
#include "serve/openapi.h"
#include "serve/page.h"
#include "serve/routes.h"
#include "serve/scrape.h"
#include "serve/services.h"
#include "serve/statements.h"
#include "serve/status.h"

static const char *const directions[] = {"inbound", "outbound", NULL};
static const char *const api_formats[] = {"json", "csv", "prometheus", NULL};

const struct route routes[] = {
    {.path = "/",
     .method = "GET",
     .access = ROUTE_OPEN,
     .handle = page_get,
     .status = 200,
     .summary = "The live page.",
     .types = {"text/html"}},
    {.path = ROUTES_FILE,
     .method = "GET",
     .access = ROUTE_OPEN,
     .handle = page_get,
     .status = 200,
     .summary = "What the live page loads.",
     .types = {"text/javascript", "text/css", "text/html"},
     .param = {{.name = "file", .about = "Its name.", .type = "string"}}},
    {.path = "/metrics",
     .method = "GET",
     .access = ROUTE_READ,
     .handle = scrape_get,
     .status = 200,
     .summary = "Every series for Prometheus. The Accept header chooses text, OpenMetrics, or "
		"protobuf with native histograms.",
     .types = {"text/plain", "application/openmetrics-text", "application/vnd.google.protobuf"},
     .param = {{.name = "classic",
		.about = "1: the protobuf format has the classic buckets, too.",
		.type = "integer",
		.min = 0,
		.max = 1,
		.fallback = "0"}}},
    {.path = "/api/metrics",
     .method = "GET",
     .access = ROUTE_READ,
     .handle = api_metrics_get,
     .status = 200,
     .summary = "Every series now, or those whose name matches.",
     .schema = "Metrics",
     .types = {"application/json", "text/csv", "text/plain"},
     .param = {{.name = "format",
		.about = "Form of the answer; prometheus is not paged.",
		.type = "string",
		.values = api_formats,
		.fallback = "json"},
	       {.name = "match",
		.about = "Metric names, comma-separated; * is any text, ? one character.",
		.type = "string"},
	       {.name = "limit",
		.about = "At most so many series.",
		.type = "integer",
		.min = 1,
		.max = API_LIMIT_MAX,
		.fallback = "10000"},
	       {.name = "offset",
		.about = "Skip so many of them.",
		.type = "integer",
		.min = 0,
		.max = API_OFFSET_MAX,
		.fallback = "0"}}},
    {.path = "/api/services",
     .method = "GET",
     .access = ROUTE_READ,
     .handle = services_get,
     .status = 200,
     .summary = "What answers requests on this node (inbound) and what calls others from here "
		"(outbound), the busiest first: rate, errors, quantiles, operations.",
     .schema = "Services",
     .param =
	 {{.name = "direction", .about = "Only these.", .type = "string", .values = directions},
	  {.name = "limit",
	   .about = "At most so many services.",
	   .type = "integer",
	   .min = 1,
	   .max = SERVICES_LIMIT_MAX,
	   .fallback = "128"},
	  {.name = "offset",
	   .about = "Skip so many of them.",
	   .type = "integer",
	   .min = 0,
	   .max = SERVICES_LIMIT_MAX,
	   .fallback = "0"}}},
    {.path = "/api/services/slow",
     .method = "GET",
     .access = ROUTE_READ,
     .handle = services_slow_get,
     .status = 200,
     .summary = "The last requests that were slower than request.slow_ms, the newest first, and "
		"where their time went.",
     .schema = "Slow",
     .param = {{.name = "service", .about = "Only those of this one.", .type = "string"},
	       {.name = "limit",
		.about = "At most so many requests.",
		.type = "integer",
		.min = 1,
		.max = SERVICES_SLOW_MAX,
		.fallback = "50"}}},
    {.path = "/api/services/statements",
     .method = "GET",
     .access = ROUTE_READ,
     .handle = statements_get,
     .status = 200,
     .summary = "The statements of PostgreSQL that each service executes most, without their "
		"literals, estimated from samples of the last 30 to 60 s.",
     .schema = "Statements",
     .param = {{.name = "service", .about = "Only those of this one.", .type = "string"},
	       {.name = "limit",
		.about = "At most so many statements.",
		.type = "integer",
		.min = 1,
		.max = STATEMENTS_LIMIT_MAX,
		.fallback = "100"},
	       {.name = "offset",
		.about = "Skip so many of them.",
		.type = "integer",
		.min = 0,
		.max = STATEMENTS_LIMIT_MAX,
		.fallback = "0"}}},
    {.path = "/api/status",
     .method = "GET",
     .access = ROUTE_READ,
     .handle = status_get,
     .status = 200,
     .summary = "Build, processes, modules and probes with state and reason, sampling, losses, "
		"own cost, configuration in force.",
     .schema = "Status"},
    {.path = "/api/syscall/exact",
     .method = "POST",
     .access = ROUTE_WRITE,
     .handle = api_exact_post,
     .status = 202,
     .summary = "Observe every system call for a time, then return to the configured mode.",
     .schema = "Exact",
     .param = {{.name = "seconds",
		.about = "For how long; 0 returns at once.",
		.type = "integer",
		.min = 0,
		.max = API_EXACT_MAX_S}}},
    {.path = "/api/openapi.json",
     .method = "GET",
     .access = ROUTE_READ,
     .handle = openapi_get,
     .status = 200,
     .summary = "This description.",
     .schema = "Any"},
    {.path = "/healthz",
     .method = "GET",
     .access = ROUTE_OPEN,
     .handle = status_healthz,
     .status = 200,
     .summary = "The process answers.",
     .schema = "Health"},
    {.path = "/readyz",
     .method = "GET",
     .access = ROUTE_OPEN,
     .handle = status_readyz,
     .status = 200,
     .summary = "Every module is initialised and has run; 503 with the reasons before that.",
     .schema = "Ready"},
};
const size_t routes_n = sizeof(routes) / sizeof(routes[0]);

static bool fits(const struct route *r, const char *path)
{
	if (strcmp(r->path, ROUTES_FILE) == 0)
		return path[0] == '/' && page_has(path + 1);
	return strcmp(path, r->path) == 0;
}

const struct route *routes_find(const char *path, const char *method,
				char ret_allow[ROUTES_ALLOW_MAX])
{
	bool head = strcmp(method, "HEAD") == 0;
	size_t used = 0;

	ret_allow[0] = '\0';
	for (size_t i = 0; i < routes_n; i++) {
		const struct route *r = &routes[i];

		if (!fits(r, path))
			continue;
		if (strcmp(head ? "GET" : method, r->method) == 0)
			return r;
		used += (size_t)snprintf(ret_allow + used, ROUTES_ALLOW_MAX - used, "%s%s%s",
					 used ? ", " : "", r->method,
					 strcmp(r->method, "GET") ? "" : ", HEAD");
		if (used >= ROUTES_ALLOW_MAX)
			break;
	}
	return NULL;
}
