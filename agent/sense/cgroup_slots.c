/* cgroup_slots.c - the probes' accounts by cgroup: leases their slots to the busiest and reads
 * them.
 *
 * The BPF programs charge what they see to the slot of a cgroup if it has one, else to "other", and
 * count those charges by cgroup. Every SLOTS_TICKS ticks the busiest of those get the free slots;
 * when none is free, the slot with the least activity since the last look is taken away, if it had
 * less than half of the newcomer's: else cgroups that do the same would take it from each other. A
 * slot taken away is folded into "other" at the next look, when no CPU charges it any more: the sum
 * over all cgroups is at any time what the probes saw on the node.
 *
 * Source: BPF arrays mapped by the keeper, and two hashes by system calls. Bounds: CGROUP_SLOTS - 1
 * cgroups. Cost: a read a slot in use and CPU; at each look at most 3 calls a cgroup without a
 * slot.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include "cgroup_names.h"
#include "core/agent.h"
#include "core/probes.h"
#include "maps.h"
#include "sense.h"

#define SLOTS_TICKS 5 /* between two looks at who is busy */

_Static_assert(SHARED_CGROUPS == CGROUP_SLOTS, "shared.h and maps.h disagree");
_Static_assert(SHARED_CGROUP_COUNTERS == sizeof(struct cgroup_counters) / 8,
	       "shared.h and maps.h disagree");

enum { WAIT_NS, WAITS, IO_NS, IOS, IO_BYTES, TCP_RECEIVED, TCP_SENT };

static const struct metric metrics[SHARED_CGROUP_COUNTERS] METRIC = {
    [WAIT_NS] = {"trimtab_cgroup_sched_wait_seconds_total", METRIC_COUNTER, "cgroup,container",
		 "Time that tasks of the cgroup were runnable and waited for a CPU; complete.",
		 "tp_btf/sched_switch"},
    [WAITS] = {"trimtab_cgroup_sched_waits_total", METRIC_COUNTER, "cgroup,container",
	       "Times that a task of the cgroup waited for a CPU and got one; complete.",
	       "tp_btf/sched_switch"},
    [IO_NS] =
	{"trimtab_cgroup_block_io_seconds_total", METRIC_COUNTER, "cgroup,container",
	 "Device time of block I/O that tasks of the cgroup issued; pages written back later by "
	 "the kernel are its own, cgroup \"/\".",
	 "tp_btf/block_rq_complete"},
    [IOS] = {"trimtab_cgroup_block_io_total", METRIC_COUNTER, "cgroup,container",
	     "Block I/O requests that tasks of the cgroup issued.", "tp_btf/block_rq_complete"},
    [IO_BYTES] = {"trimtab_cgroup_block_io_bytes_total", METRIC_COUNTER, "cgroup,container",
		  "Bytes of block I/O that tasks of the cgroup issued.",
		  "tp_btf/block_rq_complete"},
    [TCP_RECEIVED] = {"trimtab_cgroup_tcp_received_bytes_total", METRIC_COUNTER, "cgroup,container",
		      "TCP payload received by sockets of the cgroup (cgroup2; from 5.16).",
		      "iter/tcp, tp_btf/inet_sock_set_state"},
    [TCP_SENT] =
	{"trimtab_cgroup_tcp_sent_bytes_total", METRIC_COUNTER, "cgroup,container",
	 "TCP payload sent and acknowledged by sockets of the cgroup (cgroup2; from 5.16).",
	 "iter/tcp, tp_btf/inet_sock_set_state"},
};

struct cgroup_slots {
	struct cgroup_names *names;
	uint64_t due_ns;
};

struct candidate {
	uint64_t id, misses;
};

/* What a slot counted on all CPUs since the program was loaded. */
static void sum_slot(const struct agent *a, uint32_t slot, uint64_t ret[SHARED_CGROUP_COUNTERS])
{
	memset(ret, 0, SHARED_CGROUP_COUNTERS * sizeof(*ret));
	for (uint32_t cpu = 0; cpu < a->shared->cpus; cpu++) {
		const uint64_t *c = (const uint64_t *)&a->maps->cgroup_cpus[cpu].slot[slot];

		for (int i = 0; i < SHARED_CGROUP_COUNTERS; i++)
			ret[i] += c[i];
	}
}

static void write_slot(struct agent *a, struct cgroup_slots *s, uint32_t slot, uint64_t now)
{
	const struct shared_cgroup *c = &a->shared->cgroup[slot];
	const char *name = slot ? cgroup_name(s->names, c->id, now) : "other";
	char container[CGROUP_CONTAINER_MAX] = "";
	uint64_t sum[SHARED_CGROUP_COUNTERS];

	sum_slot(a, slot, sum);
	cgroup_names_container(name, container);
	for (int i = 0; i < SHARED_CGROUP_COUNTERS; i++) {
		uint64_t own = slot ? sum[i] - c->base[i] : sum[i] + c->base[i];
		double value = i == WAIT_NS || i == IO_NS ? own / 1e9 : own;

		if (!own)
			continue;
		if (container[0])
			store_set(a->store, &metrics[i], now, value, "cgroup", name, "container",
				  container, NULL);
		else
			store_set(a->store, &metrics[i], now, value, "cgroup", name, NULL);
	}
}

/* Makes every CPU forget which slot it found for whom. */
static void turn_generation(struct agent *a)
{
	for (uint32_t cpu = 0; cpu < a->shared->cpus; cpu++)
		__atomic_fetch_add(&a->maps->cgroup_cpus[cpu].generation, 1, __ATOMIC_RELEASE);
}

/* What slots taken away at the last look counted goes to "other". Their series end; the others are
 * made anew with the next write. */
static void fold_drained(struct agent *a, uint64_t now)
{
	struct shared_cgroup *other = &a->shared->cgroup[0];
	uint64_t sum[SHARED_CGROUP_COUNTERS];
	bool any = false;

	for (uint32_t slot = 1; slot < CGROUP_SLOTS; slot++) {
		struct shared_cgroup *c = &a->shared->cgroup[slot];

		if (!c->draining)
			continue;
		sum_slot(a, slot, sum);
		for (int i = 0; i < SHARED_CGROUP_COUNTERS; i++)
			other->base[i] += sum[i] - c->base[i];
		c->id = 0;
		c->draining = 0;
		any = true;
	}
	for (int i = 0; any && i < SHARED_CGROUP_COUNTERS; i++)
		store_end(a->store, &metrics[i], now);
}

static int by_misses(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return x->misses < y->misses ? 1 : x->misses > y->misses ? -1 : 0;
}

/* Whom the programs charged to "other", the busiest first; the list starts anew with this. */
static size_t take_misses(struct agent *a, struct candidate *ret)
{
	int fd = a->maps->cgroup_misses_fd;
	uint64_t key, *previous = NULL;
	size_t n = 0;

	while (n < CGROUP_MISSES && !bpf_map_get_next_key(fd, previous, &key)) {
		ret[n].id = key;
		if (!bpf_map_lookup_elem(fd, &key, &ret[n].misses))
			n++;
		previous = &ret[n ? n - 1 : 0].id;
	}
	for (size_t i = 0; i < n; i++)
		bpf_map_delete_elem(fd, &ret[i].id);
	qsort(ret, n, sizeof(*ret), by_misses);
	return n;
}

/* A cgroup waits for its slot until its name is known: a series that changes its name would be
 * there twice until the old one is stale. One that is mounted nowhere here stays in "other". */
static bool has_name(struct cgroup_slots *s, uint64_t id, uint64_t now)
{
	return strncmp(cgroup_name(s->names, id, now), "cgroup:", 7) != 0;
}

static void lease(struct agent *a, uint32_t slot, uint64_t id)
{
	struct shared_cgroup *c = &a->shared->cgroup[slot];

	sum_slot(a, slot, c->base);
	if (bpf_map_update_elem(a->maps->cgroup_ids_fd, &id, &slot, BPF_ANY))
		return;
	c->activity = c->base[WAITS];
	c->id = id;
}

/* What a CPU counted before the slot was leased may come to light after. */
static bool has_slot(const struct agent *a, uint64_t id)
{
	for (uint32_t slot = 1; slot < CGROUP_SLOTS; slot++)
		if (a->shared->cgroup[slot].id == id && !a->shared->cgroup[slot].draining)
			return true;
	return false;
}

static uint32_t free_slot(const struct agent *a)
{
	for (uint32_t slot = 1; slot < CGROUP_SLOTS; slot++)
		if (!a->shared->cgroup[slot].id)
			return slot;
	return 0;
}

/* Takes away the slot that had the least to do since the last look, if that was less than `least`.
 */
static void evict(struct agent *a, const uint64_t *activity, uint64_t least)
{
	struct shared_cgroup *c;
	uint32_t idle = 0;

	for (uint32_t slot = 1; slot < CGROUP_SLOTS; slot++)
		if (!a->shared->cgroup[slot].draining && activity[slot] < least) {
			least = activity[slot];
			idle = slot;
		}
	if (!idle)
		return;
	c = &a->shared->cgroup[idle];
	bpf_map_delete_elem(a->maps->cgroup_ids_fd, &c->id);
	c->draining = 1;
}

static void measure_activity(struct agent *a, uint64_t ret[CGROUP_SLOTS])
{
	uint64_t sum[SHARED_CGROUP_COUNTERS];

	for (uint32_t slot = 1; slot < CGROUP_SLOTS; slot++) {
		struct shared_cgroup *c = &a->shared->cgroup[slot];

		ret[slot] = 0;
		if (!c->id)
			continue;
		sum_slot(a, slot, sum);
		ret[slot] = sum[WAITS] - c->activity;
		c->activity = sum[WAITS];
	}
}

static void lease_slots(struct agent *a, struct cgroup_slots *s, uint64_t now)
{
	struct candidate candidates[CGROUP_MISSES];
	uint64_t activity[CGROUP_SLOTS];
	uint32_t slot;
	size_t n;

	fold_drained(a, now);
	n = take_misses(a, candidates);
	measure_activity(a, activity);
	for (size_t i = 0; i < n; i++) {
		if (has_slot(a, candidates[i].id) || !has_name(s, candidates[i].id, now))
			continue;
		slot = free_slot(a);
		if (slot) {
			lease(a, slot, candidates[i].id);
			activity[slot] = candidates[i].misses;
		} else {
			evict(a, activity, candidates[i].misses / 2);
		}
	}
	turn_generation(a);
}

static int tick(struct agent *a, void *state, uint64_t now)
{
	struct cgroup_slots *s = state;

	if (now >= s->due_ns) {
		lease_slots(a, s, now);
		s->due_ns = now + SLOTS_TICKS * a->config->agent.period_ms * 1000000;
	}
	for (uint32_t slot = 0; slot < CGROUP_SLOTS; slot++)
		if (!slot || a->shared->cgroup[slot].id)
			write_slot(a, s, slot, now);
	return 0;
}

static int init(struct agent *a, void **ret_state)
{
	struct cgroup_slots *s;

	if (!a->maps->cgroup_cpus) {
		agent_reason(a, "no probe that accounts by cgroup is loaded");
		return -ENOTSUP;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->names = cgroup_names_new(NULL);
	if (!s->names) {
		free(s);
		return -ENOMEM;
	}
	*ret_state = s;
	return 0;
}

static void fini(struct agent *a, void *state)
{
	struct cgroup_slots *s = state;

	if (!s)
		return;
	cgroup_names_free(s->names);
	free(s);
}

const struct module cgroup_slots_module = {
    .name = "cgroup_slots",
    .about = "waits for a CPU, block I/O and TCP bytes of the busiest cgroups",
    .roles = ROLE_AGENT,
    .period_ms = 2000,
    .init = init,
    .tick = tick,
    .fini = fini,
};
