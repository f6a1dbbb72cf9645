/* request.h - what the module "request" knows of each service, for those who serve it.
 *
 * A service is a slot of the BPF programs, and what has the same name, protocol and direction is
 * one: a unit that was restarted, or two containers of one name. Figures are of now, read from the
 * BPF arrays when asked for; rates and quantiles are of a window that ends now and began 10 to 20 s
 * ago. Nothing here is kept beyond the call but what REQUEST_SAMPLES bounds.
 *
 * Cost, with all quantiles: 70 us for two services with five operations each; 3 ms if all slots are
 * in use.
 */
#ifndef TRIMTAB_REQUEST_VIEW_H
#define TRIMTAB_REQUEST_VIEW_H

#include <stddef.h>
#include <stdint.h>
#include "maps.h"
#include "sense/cgroup_walk.h"
#include "sense/request_statements.h"
#include "sense/service_names.h"

#define REQUEST_SAMPLES 256 /* slow requests that are remembered */
#define REQUEST_LABEL_MAX (SERVICE_NAMES_MAX + 6)
#define REQUEST_ANY_DIRECTION TCP_DIRECTIONS

struct agent;
struct request_source;

/* by enum request_protocol (NULL: none), enum tcp_direction, enum request_outcome, enum
 * request_unseen */
extern const char *const request_protocols[REQUEST_PROTOCOLS];
extern const char *const request_directions[TCP_DIRECTIONS];
extern const char *const request_outcomes[REQUEST_OUTCOMES];
extern const char *const request_unseen_reasons[REQUEST_UNSEEN_REASONS];

struct request_quantiles {
	double p50, p95, p99; /* seconds; NAN: no samples */
};

struct request_figures {
	uint64_t requests, errors; /* since the start */
	double rate, error_ratio;  /* in the window; NAN: no requests in it */
};

struct request_service_view {
	uint32_t slot; /* the first one */
	const char *name;
	const char *protocol, *direction;
	int port;	    /* 0: a unix socket; -1: none, as it is "other" */
	const char *cgroup; /* "": not known, or none */
	char container[SERVICE_NAMES_CONTAINER_MAX];
	struct request_figures figures;
};

struct request_operation_view {
	uint32_t slot;
	const char *name;
	struct request_figures figures;
};

/* A slow request. */
struct request_sample {
	struct request_slow slow;
	char service[REQUEST_LABEL_MAX]; /* "": its name is not known yet */
	char operation[REQUEST_NAME];
	char cgroup[CGROUP_PATH_MAX]; /* "": not known */
};

/* NULL: the module does not run. */
struct request_source *request_source(const struct agent *a);

double request_window_seconds(const struct request_source *s, uint64_t now_ns);
/* The services of a direction (or REQUEST_ANY_DIRECTION), the busiest first. Returns how many. The
 * texts live until the next tick. */
size_t request_services(const struct request_source *s, uint32_t direction, uint64_t now_ns,
			struct request_service_view ret[REQUEST_SERVICES]);
/* The busiest operations of a service, at most max. */
size_t request_operations(const struct request_source *s, uint32_t service, uint64_t now_ns,
			  struct request_operation_view *ret, size_t max);
/* Of the window. */
void request_service_quantiles(const struct request_source *s, uint32_t service,
			       struct request_quantiles *ret_duration,
			       struct request_quantiles *ret_response,
			       struct request_quantiles *ret_queue);
void request_operation_quantiles(const struct request_source *s, uint32_t operation,
				 struct request_quantiles *ret);

/* The i-th slow request, the last one first; NULL: there are no more. */
const struct request_sample *request_sample(const struct request_source *s, size_t i);

/* The statements that a service executed most lately: see request_statements.h. */
size_t request_statements(const struct request_source *s, uint32_t service,
			  struct statement_view ret[STATEMENTS_BUSIEST]);
double request_statements_seconds(const struct request_source *s, uint64_t now_ns);

/* Bytes of requests that cannot be seen, by reason; 0 without the probe. */
void request_unseen_bytes(const struct agent *a, uint64_t ret[REQUEST_UNSEEN_REASONS]);

#endif
