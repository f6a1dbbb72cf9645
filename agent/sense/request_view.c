/* request_view.c - figures of the services for the API: see request.h.
 *
 * Reads the BPF arrays and the snapshots when asked. A service's figures are the sums over its
 * operations, as its series are.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "request_private.h"
#include "store/quantile.h"

/* What happened in the window is `now` without `then`. */
struct outcomes {
	uint64_t now[REQUEST_OUTCOMES], then[REQUEST_OUTCOMES];
};

static void add_outcomes(const struct request_source *s, uint32_t slot, struct outcomes *sum)
{
	const struct request_operation_counts *then = &s->window.operation[slot][s->window.older];
	struct request_operation_look now;

	request_look_operation(s->agent->maps, slot, &now);
	for (int i = 0; i < REQUEST_OUTCOMES; i++) {
		sum->now[i] += now.outcome[i];
		sum->then[i] += then->outcome[i];
	}
}

static uint64_t rise(const struct outcomes *o, enum request_outcome i)
{
	return o->now[i] > o->then[i] ? o->now[i] - o->then[i] : 0;
}

static struct request_figures figures_of(const struct outcomes *o, double window_seconds)
{
	uint64_t errors = rise(o, REQUEST_ERROR), requests = rise(o, REQUEST_OK) + errors;

	return (struct request_figures){
	    .requests = o->now[REQUEST_OK] + o->now[REQUEST_ERROR],
	    .errors = o->now[REQUEST_ERROR],
	    .rate = window_seconds > 0 ? (double)requests / window_seconds : 0,
	    .error_ratio = requests ? (double)errors / (double)requests : NAN,
	};
}

double request_window_seconds(const struct request_source *s, uint64_t now_ns)
{
	uint64_t since_ns = s->window.at_ns[s->window.older];

	return since_ns && now_ns > since_ns ? (double)(now_ns - since_ns) / 1e9 : 0;
}

/* The service that an operation counts for; NO_GROUP: none that has a name. */
static uint32_t service_of(const struct request_source *s, uint32_t operation)
{
	const struct request_operation_slot *x = &s->operation[operation];

	return x->chain.leader == NO_GROUP ? NO_GROUP : s->service[x->seen.service].chain.leader;
}

/* --- lists */

/* Of those as busy as each other, those that were once busier. */
static int by_rate(const struct request_figures *a, const struct request_figures *b)
{
	if (a->rate != b->rate)
		return a->rate < b->rate ? 1 : -1;
	if (a->requests != b->requests)
		return a->requests < b->requests ? 1 : -1;
	return 0;
}

static int compare_services(const void *a, const void *b)
{
	const struct request_service_view *x = a, *y = b;
	int order = by_rate(&x->figures, &y->figures);

	order = order ? order : strcmp(x->name, y->name);
	return order ? order : (int)x->slot - (int)y->slot;
}

static int compare_operations(const void *a, const void *b)
{
	const struct request_operation_view *x = a, *y = b;
	int order = by_rate(&x->figures, &y->figures);

	return order ? order : strcmp(x->name, y->name);
}

/* The cgroup of a group is that of its youngest slot. */
static void set_service(const struct request_source *s, uint32_t leader,
			struct request_service_view *ret)
{
	const struct request_service_slot *x = &s->service[leader], *youngest = x;

	for (uint32_t slot = leader; slot != NO_GROUP; slot = s->service[slot].chain.next)
		if (s->service[slot].met_ns > youngest->met_ns)
			youngest = &s->service[slot];
	*ret = (struct request_service_view){
	    .slot = leader,
	    .name = x->label,
	    .protocol = request_protocols[x->key.protocol],
	    .direction = request_directions[x->key.direction],
	    .port = leader < REQUEST_OTHERS ? -1 : x->key.port,
	    .cgroup = youngest->cgroup,
	};
	service_names_container(youngest->cgroup, ret->container);
}

size_t request_services(const struct request_source *s, uint32_t direction, uint64_t now_ns,
			struct request_service_view ret[REQUEST_SERVICES])
{
	struct outcomes of[REQUEST_SERVICES] = {0};
	double window = request_window_seconds(s, now_ns);
	size_t n = 0;

	for (uint32_t slot = 0; slot < REQUEST_OPERATIONS; slot++)
		if (service_of(s, slot) != NO_GROUP)
			add_outcomes(s, slot, &of[service_of(s, slot)]);
	for (uint32_t slot = 0; slot < REQUEST_SERVICES; slot++) {
		const struct request_service_slot *x = &s->service[slot];
		const uint64_t *now = of[slot].now;

		if (x->chain.leader != slot ||
		    (direction != REQUEST_ANY_DIRECTION && x->key.direction != direction) ||
		    (slot < REQUEST_OTHERS && !now[REQUEST_OK] && !now[REQUEST_ERROR]))
			continue;
		set_service(s, slot, &ret[n]);
		ret[n++].figures = figures_of(&of[slot], window);
	}
	qsort(ret, n, sizeof(*ret), compare_services);
	return n;
}

size_t request_operations(const struct request_source *s, uint32_t service, uint64_t now_ns,
			  struct request_operation_view *ret, size_t max)
{
	struct request_operation_view all[REQUEST_OPERATIONS];
	double window = request_window_seconds(s, now_ns);
	size_t n = 0;

	for (uint32_t leader = 0; leader < REQUEST_OPERATIONS; leader++) {
		struct outcomes of = {0};

		if (s->operation[leader].chain.leader != leader || service_of(s, leader) != service)
			continue;
		for (uint32_t slot = leader; slot != NO_GROUP; slot = s->operation[slot].chain.next)
			add_outcomes(s, slot, &of);
		all[n++] = (struct request_operation_view){.slot = leader,
							   .name = s->operation[leader].name,
							   .figures = figures_of(&of, window)};
	}
	qsort(all, n, sizeof(*all), compare_operations);
	n = n < max ? n : max;
	memcpy(ret, all, n * sizeof(*ret));
	return n;
}

/* --- quantiles */

static struct request_quantiles quantiles_of(const struct hist *h)
{
	return (struct request_quantiles){.p50 = hist_quantile(h, 0.5),
					  .p95 = hist_quantile(h, 0.95),
					  .p99 = hist_quantile(h, 0.99)};
}

void request_service_quantiles(const struct request_source *s, uint32_t service,
			       struct request_quantiles *ret_duration,
			       struct request_quantiles *ret_response,
			       struct request_quantiles *ret_queue)
{
	struct request_operation_counts operations = {0};
	struct request_service_counts counts = {0};

	for (uint32_t slot = 0; slot < REQUEST_OPERATIONS; slot++)
		if (service_of(s, slot) == service)
			request_window_add_operation(&s->window, s->agent->maps, slot, &operations);
	for (uint32_t slot = service; slot != NO_GROUP; slot = s->service[slot].chain.next)
		request_window_add_service(&s->window, s->agent->maps, slot, &counts);
	*ret_duration = quantiles_of(&operations.duration);
	*ret_response = quantiles_of(&counts.response);
	*ret_queue = quantiles_of(&counts.queue);
}

void request_operation_quantiles(const struct request_source *s, uint32_t operation,
				 struct request_quantiles *ret)
{
	struct request_operation_counts sum = {0};

	for (uint32_t slot = operation; slot != NO_GROUP; slot = s->operation[slot].chain.next)
		request_window_add_operation(&s->window, s->agent->maps, slot, &sum);
	*ret = quantiles_of(&sum.duration);
}
