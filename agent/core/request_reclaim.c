#define _GNU_SOURCE /* sched_setaffinity() */
#include "request_reclaim.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <bpf/bpf.h>
#include "log.h"
#include "shared.h"

/* What a look works on. */
struct look {
	struct probes *probes;
	struct shared *shared;
	struct reclaim_slot *state;
	struct request_control *control;
	struct request_service *service;
	struct request_operation *operation;
	struct request_service_counts *service_counts;
	struct request_operation_counts *operation_counts;
	uint32_t shards, services, operations; /* slots in use */
	int service_ids, service_owners, operation_ids, operation_owners;
	uint32_t shard; /* of the CPU that this runs on, while it adds */
};

#define SERVICE_COUNTS(l) (REQUEST_SERVICES * (l)->shards * sizeof(*(l)->service_counts))
#define OPERATION_COUNTS(l) (REQUEST_OPERATIONS * (l)->shards * sizeof(*(l)->operation_counts))

static bool open_look(struct look *l)
{
	struct probes *p = l->probes;

	l->service = probes_map(p, "request_services", REQUEST_SERVICES * sizeof(*l->service));
	l->operation =
	    probes_map(p, "request_operations", REQUEST_OPERATIONS * sizeof(*l->operation));
	l->service_counts = probes_map(p, "request_service_counts", SERVICE_COUNTS(l));
	l->operation_counts = probes_map(p, "request_operation_counts", OPERATION_COUNTS(l));
	l->service_ids = probes_map_fd(p, "request_service_ids");
	l->service_owners = probes_map_fd(p, "request_service_owners");
	l->operation_ids = probes_map_fd(p, "request_operation_ids");
	l->operation_owners = probes_map_fd(p, "request_operation_owners");
	return l->service && l->operation && l->service_counts && l->operation_counts;
}

static void close_look(struct look *l)
{
	probes_unmap(l->service, REQUEST_SERVICES * sizeof(*l->service));
	probes_unmap(l->operation, REQUEST_OPERATIONS * sizeof(*l->operation));
	probes_unmap(l->service_counts, SERVICE_COUNTS(l));
	probes_unmap(l->operation_counts, OPERATION_COUNTS(l));
}

static bool has_operation(const struct look *l, uint32_t slot, uint32_t service)
{
	return l->operation[slot].used && l->operation[slot].service == service;
}

/* --- what happened since the last look */

static uint64_t activity_of(const struct look *l, uint32_t service)
{
	uint64_t sum = 0;

	for (uint32_t shard = 0; shard < l->shards; shard++)
		sum += l->service_counts[service * l->shards + shard].unanswered;
	for (uint32_t slot = REQUEST_OTHERS; slot < REQUEST_OPERATIONS; slot++) {
		if (!has_operation(l, slot, service))
			continue;
		for (uint32_t shard = 0; shard < l->shards; shard++)
			for (int i = 0; i < REQUEST_OUTCOMES; i++)
				sum += l->operation_counts[slot * l->shards + shard].outcome[i];
	}
	return sum;
}

static void count_used(struct look *l)
{
	for (uint32_t slot = REQUEST_OTHERS; slot < REQUEST_SERVICES; slot++)
		l->services += l->service[slot].key.protocol != REQUEST_NONE;
	for (uint32_t slot = REQUEST_OTHERS; slot < REQUEST_OPERATIONS; slot++)
		l->operations += l->operation[slot].used != 0;
}

static bool is_crowded(const struct look *l)
{
	return l->services > REQUEST_SERVICES / 4 * 3 || l->operations > REQUEST_OPERATIONS / 4 * 3;
}

/* --- where the counts of a slot go */

static bool is_named(const struct look *l, uint32_t slot)
{
	const struct shared_service *s = &l->shared->service[slot];

	return s->name[0] && !memcmp(s->key, &l->service[slot].key, sizeof(s->key));
}

/* Another slot that is the same service to the agent: only the cgroup differs. */
static uint32_t heir_of_service(const struct look *l, uint32_t slot)
{
	const struct request_key *a = &l->service[slot].key;

	for (uint32_t i = REQUEST_OTHERS; i < REQUEST_SERVICES && is_named(l, slot); i++) {
		const struct request_key *b = &l->service[i].key;

		if (i != slot && b->port == a->port && b->protocol == a->protocol &&
		    b->direction == a->direction && b->inside == a->inside && is_named(l, i) &&
		    !strcmp(l->shared->service[i].name, l->shared->service[slot].name))
			return i;
	}
	return request_other_of(a);
}

static uint32_t heir_of_operation(const struct look *l, uint32_t slot, uint32_t service)
{
	for (uint32_t i = REQUEST_OTHERS; i < REQUEST_OPERATIONS && service >= REQUEST_OTHERS; i++)
		if (has_operation(l, i, service) &&
		    !memcmp(l->operation[i].name, l->operation[slot].name, REQUEST_NAME))
			return i;
	return request_other_of(&l->service[l->operation[slot].service].key);
}

/* --- taking back */

/* Stays on this CPU, whose shard no other CPU adds to. */
static int stay(struct look *l, cpu_set_t *ret_before)
{
	int cpu = sched_getcpu();
	cpu_set_t here;

	if (cpu < 0 || sched_getaffinity(0, sizeof(*ret_before), ret_before))
		return -errno;
	CPU_ZERO(&here);
	CPU_SET(cpu, &here);
	if (sched_setaffinity(0, sizeof(here), &here))
		return -errno;
	l->shard = cpu & (l->shards - 1);
	return 0;
}

/* Adds the counters of all shards of a slot to one of another slot, and clears them. */
static void move(uint64_t *from, uint64_t *to, size_t words, uint32_t shards)
{
	for (size_t i = 0; i < words * shards; i++) {
		if (!from[i])
			continue;
		__atomic_fetch_add(&to[i % words], from[i], __ATOMIC_RELAXED);
		from[i] = 0;
	}
}

static void free_operation(struct look *l, uint32_t slot, uint32_t heir)
{
	uint32_t to = heir_of_operation(l, slot, heir);
	uint64_t key;

	l->shared->operation_heir[slot] = to;
	move((uint64_t *)&l->operation_counts[slot * l->shards],
	     (uint64_t *)&l->operation_counts[to * l->shards + l->shard],
	     sizeof(*l->operation_counts) / sizeof(uint64_t), l->shards);
	memset(&l->operation[slot], 0, sizeof(l->operation[slot]));
	if (!bpf_map_lookup_elem(l->operation_owners, &slot, &key))
		bpf_map_delete_elem(l->operation_ids, &key);
	bpf_map_delete_elem(l->operation_owners, &slot);
}

static void free_service(struct look *l, uint32_t slot)
{
	uint32_t to = heir_of_service(l, slot);

	for (uint32_t i = REQUEST_OTHERS; i < REQUEST_OPERATIONS; i++)
		if (has_operation(l, i, slot))
			free_operation(l, i, to);
	l->shared->service_heir[slot] = to;
	move((uint64_t *)&l->service_counts[slot * l->shards],
	     (uint64_t *)&l->service_counts[to * l->shards + l->shard],
	     sizeof(*l->service_counts) / sizeof(uint64_t), l->shards);
	memset(&l->service[slot], 0, sizeof(l->service[slot]));
	bpf_map_delete_elem(l->service_owners, &slot);
}

/* The programs look for a free slot from there on; they may be doing so just now, and forget it. */
static void turn_back(struct look *l)
{
	uint32_t slot;
	struct request_key key;
	uint64_t hash;

	for (slot = REQUEST_OTHERS; slot < REQUEST_SERVICES; slot++)
		if (bpf_map_lookup_elem(l->service_owners, &slot, &key))
			break;
	__atomic_store_n(&l->control->next_service, slot, __ATOMIC_RELAXED);
	for (slot = REQUEST_OTHERS; slot < REQUEST_OPERATIONS - 1; slot++)
		if (bpf_map_lookup_elem(l->operation_owners, &slot, &hash))
			break;
	__atomic_store_n(&l->control->next_operation, slot, __ATOMIC_RELAXED);
}

static void free_services(struct look *l, const bool *ready)
{
	uint32_t *turn = &l->shared->request_turn;
	cpu_set_t before;
	int err = stay(l, &before);

	if (err) {
		log_warn("keeper", "cannot take back slots of services: %s", strerror(-err));
		return;
	}
	__atomic_fetch_add(turn, 1, __ATOMIC_SEQ_CST);
	for (uint32_t slot = REQUEST_OTHERS; slot < REQUEST_SERVICES; slot++)
		if (ready[slot])
			free_service(l, slot);
	__atomic_fetch_add(turn, 1, __ATOMIC_SEQ_CST);
	sched_setaffinity(0, sizeof(before), &before);
}

/* True if the slot can be taken back now. */
static bool look_at(struct look *l, uint32_t slot)
{
	const struct request_key *key = &l->service[slot].key;
	struct reclaim_slot *s = &l->state[slot];
	bool quiet = !l->control->seen_of[slot];
	bool draining = s->draining;

	if (key->protocol == REQUEST_NONE) {
		*s = (struct reclaim_slot){0};
		return false;
	}
	reclaim_watch(s, activity_of(l, slot));
	s->draining = 0;
	if (draining && quiet && s->idle)
		return true;
	if (draining) /* a connection was quicker */
		bpf_map_update_elem(l->service_ids, key, &slot, BPF_NOEXIST);
	if (!is_crowded(l) || !quiet || s->idle < RECLAIM_IDLE)
		return false;
	bpf_map_delete_elem(l->service_ids, key);
	s->draining = 1;
	return false;
}

void request_reclaim_look(struct probes *p, struct shared *s, struct reclaim_slot *state)
{
	struct look l = {
	    .probes = p, .shared = s, .state = state, .control = probes_requests(p, &l.shards)};
	bool ready[REQUEST_SERVICES] = {0}, any = false;

	if (!l.control || probes_count_requests(p))
		return;
	if (open_look(&l)) {
		count_used(&l);
		for (uint32_t slot = REQUEST_OTHERS; slot < REQUEST_SERVICES; slot++) {
			ready[slot] = look_at(&l, slot);
			any = any || ready[slot];
		}
		if (any)
			free_services(&l, ready);
		if (is_crowded(&l))
			turn_back(&l);
	}
	close_look(&l);
}
