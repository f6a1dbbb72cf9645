/* request.c - the module "request": rate, outcome and latency of the requests that this node serves
 * and makes, by service and operation.
 *
 * Source: BPF arrays mapped by the keeper; a ring buffer for slow requests; see the other
 * request_*.c. Bounds: REQUEST_SERVICES services, REQUEST_OPERATIONS operations of them all, what
 * found no slot is service="other", operation="other"; 0.3 MB of memory and 4.7 KB for each
 * operation, 9.4 KB for each service. Cost: 15 us a tick and 1 us an operation; where something was
 * counted since the last one 1 us more.
 */
#include "request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/log.h"
#include "probe_series.h"
#include "request_private.h"
#include "sense.h"
#include "store/quantile.h"

#define SERVICE                                                                                    \
	"service is who answers (direction=\"inbound\") or who asks (outbound), and the server's " \
	"port."
#define HOOKS "tp_btf/sock_recv_length, tp_btf/sock_send_length; cgroup_skb"

static const struct metric DURATION METRIC = {
    "trimtab_request_duration_seconds", METRIC_HISTOGRAM, "service,protocol,operation,direction",
    "Time of a request: inbound from its read to the write of the response, outbound from its "
    "write to the read of the response. Every request but those that wait by design. " SERVICE,
    HOOKS};
static const struct metric REQUESTS METRIC = {
    "trimtab_requests_total", METRIC_COUNTER, "service,protocol,operation,direction,outcome",
    "Requests answered, timed or not; outcome=\"error\": HTTP 4xx and 5xx, an error reply of "
    "Redis or PostgreSQL, an AMQP nack, return or closed channel. " SERVICE,
    HOOKS};
static const struct metric QUEUE METRIC = {
    "trimtab_request_queue_seconds", METRIC_HISTOGRAM, "service,protocol,direction",
    "Time from the arrival of a request's last packet to its read by the server; inbound, where "
    "requests are seen in the calls on sockets.",
    "tp_btf/tcp_rcv_space_adjust"};
static const struct metric RESPONSE METRIC = {
    "trimtab_request_response_seconds", METRIC_HISTOGRAM, "service,protocol,direction",
    "Time from the arrival of a request's last packet to the first write of the response; inbound.",
    HOOKS};
static const struct metric CLASSES METRIC = {"trimtab_http_responses_total", METRIC_COUNTER,
					     "service,direction,class",
					     "HTTP responses by class of their status, 1xx to 5xx.",
					     HOOKS};
static const struct metric UNANSWERED METRIC = {
    "trimtab_requests_unanswered_total", METRIC_COUNTER, "service,protocol,direction",
    "Requests whose connection ended before a response.", HOOKS};
static const struct metric UNSEEN METRIC = {
    "trimtab_request_unseen_bytes_total", METRIC_COUNTER, "reason",
    "Bytes of connections whose requests cannot be seen: encrypted (tls), HTTP/2, moved by "
    "io_uring, or by 32-bit programs and calls of several messages (compat).",
    HOOKS};

/* those that a service has; a slot that is taken away ends its own */
static const struct metric *const of_services[] = {&DURATION, &REQUESTS, &QUEUE,
						   &RESPONSE, &CLASSES,	 &UNANSWERED};

const char *const request_protocols[REQUEST_PROTOCOLS] = {[REQUEST_HTTP] = "http",
							  [REQUEST_REDIS] = "redis",
							  [REQUEST_POSTGRESQL] = "postgresql",
							  [REQUEST_AMQP] = "amqp"};
const char *const request_directions[TCP_DIRECTIONS] = {
    [TCP_INBOUND] = "inbound", [TCP_OUTBOUND] = "outbound"};
const char *const request_outcomes[REQUEST_OUTCOMES] = {
    [REQUEST_OK] = "ok", [REQUEST_ERROR] = "error"};
const char *const request_unseen_reasons[REQUEST_UNSEEN_REASONS] = {
    [REQUEST_UNSEEN_TLS] = "tls",
    [REQUEST_UNSEEN_HTTP2] = "http2",
    [REQUEST_UNSEEN_IO_URING] = "io_uring",
    [REQUEST_UNSEEN_COMPAT] = "compat"};
static const char *const lost_reasons[REQUEST_LOST_REASONS] = {
    [REQUEST_LOST_CONNECTIONS] = "connections_full",
    [REQUEST_LOST_SYNC] = "out_of_sync",
    [REQUEST_LOST_LONG] = "call_too_long",
    [REQUEST_LOST_MEMORY] = "memory",
    [REQUEST_LOST_DEPTH] = "in_flight",
    [REQUEST_LOST_GAP] = "gap",
    [REQUEST_LOST_SLOW] = "slow_ring",
    [REQUEST_LOST_NO_MEMORY] = "no_memory",
    [REQUEST_LOST_STATEMENT] = "statement_ring"};
static const char *const classes[REQUEST_CLASSES] = {NULL, "1xx", "2xx", "3xx", "4xx", "5xx"};

/* The labels of a series of a service or operation. */
struct labels {
	const char *service, *protocol, *operation, *direction;
};

static struct labels labels_of(const struct request_source *s, uint32_t service)
{
	const struct request_service_slot *x = &s->service[service];

	return (struct labels){.service = x->label,
			       .protocol = request_protocols[x->key.protocol],
			       .direction = request_directions[x->key.direction]};
}

/* A histogram that was made anew is empty: it is written though nothing was counted since. Its
 * place was taken while the agent stood still, or ended with a slot of its group. */
static bool is_to_write(const struct hist *h, bool changed)
{
	return h && (changed || !h->sum_ns);
}

/* --- operations */

/* Sums what is cheap over a group. False if nothing was counted since the last tick. */
static bool look_at_operations(struct request_source *s, uint32_t leader,
			       struct request_operation_look *ret)
{
	struct request_operation_look one;
	bool changed = false;

	*ret = (struct request_operation_look){0};
	for (uint32_t slot = leader; slot != NO_GROUP; slot = s->operation[slot].chain.next) {
		request_look_operation(s->agent->maps, slot, &one);
		changed = changed || one.print != s->operation[slot].print;
		s->operation[slot].print = one.print;
		ret->print += one.print;
		ret->duration_ns += one.duration_ns;
		for (int i = 0; i < REQUEST_OUTCOMES; i++)
			ret->outcome[i] += one.outcome[i];
	}
	return changed;
}

static void write_duration(struct request_source *s, uint32_t leader, const struct labels *l,
			   bool changed)
{
	struct hist *h =
	    store_hist(s->agent->store, &DURATION, s->now_ns, "service", l->service, "protocol",
		       l->protocol, "operation", l->operation, "direction", l->direction, NULL);
	struct request_operation_counts sum = {0};

	if (!is_to_write(h, changed))
		return;
	for (uint32_t slot = leader; slot != NO_GROUP; slot = s->operation[slot].chain.next)
		request_add_operation(s->agent->maps, slot, &sum);
	*h = sum.duration;
}

static void write_operation(struct request_source *s, uint32_t leader)
{
	const struct request_operation_slot *x = &s->operation[leader];
	struct labels l = labels_of(s, x->seen.service);
	struct request_operation_look sum;
	bool changed = look_at_operations(s, leader, &sum);

	if (leader < REQUEST_OTHERS && !sum.print)
		return;
	l.operation = x->name;
	for (int i = 0; i < REQUEST_OUTCOMES; i++)
		store_set(s->agent->store, &REQUESTS, s->now_ns, sum.outcome[i], "service",
			  l.service, "protocol", l.protocol, "operation", l.operation, "direction",
			  l.direction, "outcome", request_outcomes[i], NULL);
	if (sum.duration_ns)
		write_duration(s, leader, &l, changed);
}

/* --- services */

static bool look_at_services(struct request_source *s, uint32_t leader,
			     struct request_service_look *ret)
{
	struct request_service_look one;
	bool changed = false;

	*ret = (struct request_service_look){0};
	for (uint32_t slot = leader; slot != NO_GROUP; slot = s->service[slot].chain.next) {
		request_look_service(s->agent->maps, slot, &one);
		changed = changed || one.print != s->service[slot].print;
		s->service[slot].print = one.print;
		ret->print += one.print;
		ret->response_ns += one.response_ns;
		ret->queue_ns += one.queue_ns;
		ret->unanswered += one.unanswered;
		for (int i = 0; i < REQUEST_CLASSES; i++)
			ret->class[i] += one.class[i];
	}
	return changed;
}

static struct hist *hist_of_service(struct request_source *s, const struct metric *m,
				    const struct labels *l, bool has_samples)
{
	if (!has_samples)
		return NULL;
	return store_hist(s->agent->store, m, s->now_ns, "service", l->service, "protocol",
			  l->protocol, "direction", l->direction, NULL);
}

static void write_times(struct request_source *s, uint32_t leader, const struct labels *l,
			const struct request_service_look *look, bool changed)
{
	struct hist *response = hist_of_service(s, &RESPONSE, l, look->response_ns);
	struct hist *queue = hist_of_service(s, &QUEUE, l, look->queue_ns);
	bool write_response = is_to_write(response, changed);
	bool write_queue = is_to_write(queue, changed);
	struct request_service_counts sum = {0};

	if (!write_response && !write_queue)
		return;
	for (uint32_t slot = leader; slot != NO_GROUP; slot = s->service[slot].chain.next)
		request_add_service(s->agent->maps, slot, &sum);
	if (write_response)
		*response = sum.response;
	if (write_queue)
		*queue = sum.queue;
}

static void write_service(struct request_source *s, uint32_t leader)
{
	struct labels l = labels_of(s, leader);
	struct request_service_look sum;
	bool changed = look_at_services(s, leader, &sum);

	if (leader < REQUEST_OTHERS && !sum.print)
		return;
	write_times(s, leader, &l, &sum, changed);
	for (int i = 1; i < REQUEST_CLASSES; i++)
		if (sum.class[i])
			store_set(s->agent->store, &CLASSES, s->now_ns, sum.class[i], "service",
				  l.service, "direction", l.direction, "class", classes[i], NULL);
	store_set(s->agent->store, &UNANSWERED, s->now_ns, sum.unanswered, "service", l.service,
		  "protocol", l.protocol, "direction", l.direction, NULL);
}

/* --- what could not be seen */

void request_unseen_bytes(const struct agent *a, uint64_t ret[REQUEST_UNSEEN_REASONS])
{
	const struct probe_maps *m = a->maps;

	memset(ret, 0, REQUEST_UNSEEN_REASONS * sizeof(*ret));
	if (!m || !m->request_totals)
		return;
	for (uint32_t shard = 0; shard < m->request_shards; shard++)
		for (int i = 0; i < REQUEST_UNSEEN_REASONS; i++)
			ret[i] += m->request_totals[shard].unseen_bytes[i];
}

static void write_totals(struct request_source *s)
{
	const struct probe_maps *m = s->agent->maps;
	uint64_t lost[REQUEST_LOST_REASONS] = {0}, unseen[REQUEST_UNSEEN_REASONS];

	for (uint32_t shard = 0; shard < m->request_shards; shard++)
		for (int i = 0; i < REQUEST_LOST_REASONS; i++)
			lost[i] += m->request_totals[shard].lost[i];
	for (int i = 0; i < REQUEST_LOST_REASONS; i++)
		store_set(s->agent->store, &lost_metric, s->now_ns, lost[i], "probe", "request",
			  "reason", lost_reasons[i], NULL);
	request_unseen_bytes(s->agent, unseen);
	for (int i = 0; i < REQUEST_UNSEEN_REASONS; i++)
		store_set(s->agent->store, &UNSEEN, s->now_ns, unseen[i], "reason",
			  request_unseen_reasons[i], NULL);
}

/* --- the module */

static int tick(struct agent *a, void *state, uint64_t now_ns)
{
	struct request_source *s = state;

	s->now_ns = now_ns;
	if (__atomic_load_n(&a->shared->request_turn, __ATOMIC_ACQUIRE) & 1)
		return 0; /* the keeper is moving counts from slot to slot */
	if (request_slots_update(s))
		for (size_t i = 0; i < sizeof(of_services) / sizeof(of_services[0]); i++)
			store_end(a->store, of_services[i], now_ns);
	for (uint32_t slot = 0; slot < REQUEST_OPERATIONS; slot++)
		if (s->operation[slot].chain.leader == slot)
			write_operation(s, slot);
	for (uint32_t slot = 0; slot < REQUEST_SERVICES; slot++)
		if (s->service[slot].chain.leader == slot)
			write_service(s, slot);
	write_totals(s);
	request_slow_tick(s);
	request_ring_tick(s);
	request_window_turn(&s->window, a->maps, now_ns);
	return 0;
}

static void fini(struct agent *a, void *state)
{
	struct request_source *s = state;

	if (!s)
		return;
	request_slow_close(s);
	request_ring_close(s);
	cgroup_names_free(s->cgroups);
	if (s->has_regex)
		regfree(&s->untimed);
	free(s);
}

/* The configuration has refused what does not compile. */
static void compile_untimed(struct request_source *s)
{
	const char *untimed = s->agent->config->request.untimed;

	s->has_regex =
	    untimed && *untimed && !regcomp(&s->untimed, untimed, REG_EXTENDED | REG_NOSUB);
}

static int init(struct agent *a, void **ret_state)
{
	struct request_source *s;
	int err;

	if (!a->config->request.enabled || !a->maps->request_services) {
		agent_reason(a, a->config->request.enabled ? "the request probe is not loaded"
							   : "request.enabled is false");
		return -ENOTSUP;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->agent = a;
	s->cgroups = cgroup_names_new(NULL);
	if (!s->cgroups) {
		free(s);
		return -ENOMEM;
	}
	snprintf(s->logs, sizeof(s->logs), "%s/var/log", host_paths_of_environment().root);
	compile_untimed(s);
	request_slots_init(s);
	err = request_slow_open(s);
	if (err) {
		agent_reason(a, "slow requests are not sampled: %s", strerror(-err));
		log_info("request", "slow requests are not sampled: %s", strerror(-err));
	}
	err = request_ring_open(s);
	if (err)
		log_info("request", "statements are not sampled: %s", strerror(-err));
	*ret_state = s;
	return 0;
}

const struct module request_module = {
    .name = "request",
    .about = "HTTP, Redis, PostgreSQL and AMQP requests by service: rate, errors, latency",
    .roles = ROLE_AGENT,
    .period_ms = 2000,
    .init = init,
    .tick = tick,
    .fini = fini,
};

struct request_source *request_source(const struct agent *a)
{
	for (size_t i = 0; i < a->slots_n; i++)
		if (a->slots[i].module == &request_module && a->slots[i].phase == MODULE_RUNNING)
			return a->slots[i].state;
	return NULL;
}
