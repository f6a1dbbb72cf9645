#include "reclaim.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "request_reclaim.h"

/* A kind of slots: an array of structs that begin with their identity and go on with u64 counters.
 */
struct kind {
	const char *array, *ids, *owners;
	size_t size;		/* of an element */
	size_t counters, bytes; /* offset and length of its counters */
	uint32_t first, slots;	/* those before the first are "other" */
	uint32_t (*other)(const void *element);
	bool (*wanted)(const void *element, const struct reclaim_slot *s, bool crowded);
};

static bool port_wanted(const void *element, const struct reclaim_slot *s, bool crowded)
{
	return !crowded || s->idle < RECLAIM_IDLE;
}

static uint32_t port_other(const void *element)
{
	const struct tcp_port *p = element;

	return p->direction & 1;
}

static uint32_t device_other(const void *element)
{
	return 0;
}

static bool device_wanted(const void *element, const struct reclaim_slot *s, bool crowded)
{
	const struct disk_device *d = element;
	char path[64];

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", d->dev >> 20, d->dev & 0xfffff);
	return access(path, F_OK) == 0;
}

static const struct kind kinds[] = {
    {.array = "tcp_ports",
     .ids = "tcp_ids",
     .owners = "tcp_owners",
     .size = sizeof(struct tcp_port),
     .counters = offsetof(struct tcp_port, rtt),
     .bytes = offsetof(struct tcp_port, queue_sweep) - offsetof(struct tcp_port, rtt),
     .first = TCP_DIRECTIONS,
     .slots = TCP_PORTS,
     .other = port_other,
     .wanted = port_wanted},
    {.array = "disk_devices",
     .ids = "disk_ids",
     .owners = "disk_owners",
     .size = sizeof(struct disk_device),
     .counters = offsetof(struct disk_device, no_issue_time),
     .bytes = sizeof(struct disk_device) - offsetof(struct disk_device, no_issue_time),
     .first = 1,
     .slots = DISK_DEVICES,
     .other = device_other,
     .wanted = device_wanted},
};

static uint64_t sum(const uint64_t *counters, size_t n)
{
	uint64_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += counters[i];
	return total;
}

/* Adds a drained slot to "other" and frees it. */
static void fold(const struct kind *k, char *array, uint32_t slot, int owners)
{
	char *element = array + slot * k->size, *other = array + k->other(element) * k->size;
	uint64_t *from = (uint64_t *)(element + k->counters);
	uint64_t *to = (uint64_t *)(other + k->counters);

	for (size_t i = 0; i < k->bytes / sizeof(*from); i++)
		if (from[i])
			__atomic_fetch_add(&to[i], from[i], __ATOMIC_RELAXED);
	memset(element, 0, k->size);
	bpf_map_delete_elem(owners, &slot);
}

static void look(struct reclaim *r, const struct kind *k, struct reclaim_slot *state)
{
	int ids = probes_map_fd(r->probes, k->ids), owners = probes_map_fd(r->probes, k->owners);
	char *array = probes_map(r->probes, k->array, k->size * k->slots);
	uint32_t key[RECLAIM_SLOTS] = {}, used = 0;

	if (!array)
		return;
	for (uint32_t slot = k->first; slot < k->slots; slot++)
		used += !bpf_map_lookup_elem(owners, &slot, &key[slot]);
	for (uint32_t slot = k->first; slot < k->slots; slot++) {
		struct reclaim_slot *s = &state[slot];
		const char *element = array + slot * k->size;

		if (!key[slot])
			continue;
		reclaim_watch(s, sum((const uint64_t *)(element + k->counters), k->bytes / 8));
		if (s->draining) {
			fold(k, array, slot, owners);
			*s = (struct reclaim_slot){};
		} else if (!k->wanted(element, s, used > k->slots / 4 * 3)) {
			bpf_map_delete_elem(ids, &key[slot]);
			s->draining = 1;
		}
	}
	probes_unmap(array, k->size * k->slots);
}

void reclaim_init(struct reclaim *r, struct probes *p, struct shared *s, uint64_t sweep_period_ns,
		  uint64_t now)
{
	*r = (struct reclaim){
	    .probes = p, .shared = s, .period_ns = sweep_period_ns * RECLAIM_SWEEPS};
	r->due_ns = now + r->period_ns;
}

void reclaim_run(struct reclaim *r, uint64_t now)
{
	if (now < r->due_ns)
		return;
	r->due_ns = now + r->period_ns;
	look(r, &kinds[0], r->tcp);
	look(r, &kinds[1], r->disk);
	request_reclaim_look(r->probes, r->shared, r->request);
}
