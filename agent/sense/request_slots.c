/* request_slots.c - who holds the slots of the request probe: names, and which slots are one
 * series.
 *
 * The programs know a service by its cgroup's id. It is named once, and keeps that name for as long
 * as it holds the slot, even when the cgroup is gone: the name is in shared memory, for the agent's
 * next start. A unit that was restarted is a new cgroup with the same name: slots whose labels are
 * equal are a group and its series are their sum. What has no name yet is not written; nothing is
 * lost by that, as the arrays hold totals.
 *
 * Inputs: the BPF arrays; the cgroup hierarchies and the kubelet's logs, for new services only.
 * Cost: 10 us a tick; when a slot changes hands, up to 100 us for groups and 1 us an operation for
 * request.untimed.
 */
#include <stdio.h>
#include <string.h>
#include "request_private.h"
#include "store/labels.h"

_Static_assert(SHARED_SERVICES == REQUEST_SERVICES, "shared.h and maps.h disagree");
_Static_assert(SHARED_OPERATIONS == REQUEST_OPERATIONS, "shared.h and maps.h disagree");
_Static_assert(SHARED_SERVICE_NAME == SERVICE_NAMES_MAX, "shared.h and service_names.h disagree");
_Static_assert(sizeof(struct request_key) == sizeof(((struct shared_service *)0)->key),
	       "shared.h and maps.h disagree");

/* A name is waited for until the hierarchies have been walked once more for certain. */
#define NAME_WAIT_NS CGROUP_NAMES_AGE_NS

/* --- services */

static bool is_used(const struct request_key *key)
{
	return key->protocol > REQUEST_NONE && key->protocol < REQUEST_PROTOCOLS &&
	       key->direction < TCP_DIRECTIONS;
}

/* The name given to this key before this agent started; false if there is none. */
static bool remembered(const struct request_source *s, uint32_t slot, char ret[SERVICE_NAMES_MAX])
{
	const struct shared_service *known = &s->agent->shared->service[slot];

	if (memcmp(known->key, &s->service[slot].key, sizeof(known->key)) != 0)
		return false;
	service_names_print(known->name, sizeof(known->name), ret, SERVICE_NAMES_MAX);
	return ret[0];
}

/* A kill in between leaves a slot without a name, not one with another's. */
static void remember(const struct request_source *s, uint32_t slot, const char *name)
{
	struct shared_service *known = &s->agent->shared->service[slot];

	memset(known->key, 0, sizeof(known->key));
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	snprintf(known->name, sizeof(known->name), "%s", name);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	memcpy(known->key, &s->service[slot].key, sizeof(known->key));
}

static void set_label(struct request_service_slot *x, const char *name)
{
	if (x->key.port)
		snprintf(x->label, sizeof(x->label), "%s:%u", name, x->key.port);
	else
		snprintf(x->label, sizeof(x->label), "%s:%s", name, x->key.inside ? "tls" : "unix");
}

/* True if it has its name now. */
static bool name_service(struct request_source *s, uint32_t slot)
{
	const struct request_service *from = &s->agent->maps->request_services[slot];
	struct request_service_slot *x = &s->service[slot];
	const char *path = cgroup_name(s->cgroups, x->key.cgroup, s->now_ns);
	bool found = strncmp(path, "cgroup:", 7) != 0;
	bool late = !x->key.cgroup || s->now_ns - x->met_ns >= NAME_WAIT_NS;
	char name[SERVICE_NAMES_MAX], comm[sizeof(from->comm) + 1];

	service_names_print(found ? path : "", CGROUP_PATH_MAX, x->cgroup, sizeof(x->cgroup));
	if (remembered(s, slot, name)) {
		set_label(x, name);
		return true;
	}
	service_names_print(from->comm, sizeof(from->comm), comm, sizeof(comm));
	if (!found && !late)
		return false;
	if (!service_names_find(s->logs, x->cgroup, comm, name) && !late)
		return false;
	remember(s, slot, name);
	set_label(x, name);
	return true;
}

struct changes {
	bool regroup; /* something came, or got its name */
	bool ended;   /* something went */
};

static void update_service(struct request_source *s, uint32_t slot, struct changes *c)
{
	struct request_key key = s->agent->maps->request_services[slot].key;
	struct request_service_slot *x = &s->service[slot];

	if (!is_used(&key))
		key = (struct request_key){0};
	if (memcmp(&key, &x->key, sizeof(key)) != 0) {
		if (x->key.protocol) {
			request_window_fold_service(&s->window, slot,
						    s->agent->shared->service_heir[slot]);
			request_ring_forget(s, slot);
			c->ended = true;
		}
		*x = (struct request_service_slot){
		    .key = key, .met_ns = s->now_ns, .chain = {NO_GROUP, NO_GROUP}};
	}
	if (!x->key.protocol || x->label[0])
		return;
	if (name_service(s, slot)) {
		request_slow_named(s, slot);
		c->regroup = true;
	}
}

/* --- operations */

static bool same_operation(const struct request_operation *a, const struct request_operation *b)
{
	return a->used == b->used && a->service == b->service &&
	       memcmp(a->name, b->name, sizeof(a->name)) == 0;
}

static void update_operation(struct request_source *s, uint32_t slot, struct changes *c)
{
	const struct request_operation *from = &s->agent->maps->request_operations[slot];
	struct request_operation_slot *x = &s->operation[slot];
	struct request_operation now = {0};

	/* the programs set it last */
	if (__atomic_load_n(&from->used, __ATOMIC_ACQUIRE)) {
		now = *from;
		now.flags = 0;
	}
	if (!now.used || now.service >= REQUEST_SERVICES || !s->service[now.service].key.protocol)
		now = (struct request_operation){0};
	if (same_operation(&now, &x->seen))
		return;
	if (x->seen.used) {
		request_window_fold_operation(&s->window, slot,
					      s->agent->shared->operation_heir[slot]);
		c->ended = true;
	}
	*x = (struct request_operation_slot){.seen = now, .chain = {NO_GROUP, NO_GROUP}};
	if (!now.used)
		return;
	service_names_print(now.name, sizeof(now.name), x->name, sizeof(x->name));
	c->regroup = true;
}

/* What the agent itself marked is remembered by what it was: request.untimed may have changed
 * since, and so may the slot. */
static void judge_operation(struct request_source *s, uint32_t slot)
{
	struct request_operation *to = &s->agent->maps->request_operations[slot];
	struct request_operation_slot *x = &s->operation[slot];
	uint64_t *marked = &s->agent->shared->request_untimed[slot], identity = x->hash | 1;
	char text[REQUEST_LABEL_MAX + 1 + REQUEST_NAME];

	x->judged = true;
	snprintf(text, sizeof(text), "%s %s", s->service[x->seen.service].label, x->name);
	if (s->has_regex && regexec(&s->untimed, text, 0, NULL, 0) == 0) {
		*marked = identity;
		__atomic_fetch_or(&to->flags, REQUEST_UNTIMED, __ATOMIC_RELAXED);
		return;
	}
	if (*marked == identity)
		__atomic_fetch_and(&to->flags, (uint16_t)~REQUEST_UNTIMED, __ATOMIC_RELAXED);
	*marked = 0;
}

/* --- groups */

static bool same_service(const struct request_service_slot *a, const struct request_service_slot *b)
{
	return a->key.protocol == b->key.protocol && a->key.direction == b->key.direction &&
	       strcmp(a->label, b->label) == 0;
}

static void group_services(struct request_source *s)
{
	uint32_t last[REQUEST_SERVICES], leader; /* of each leader's chain */

	for (uint32_t slot = 0; slot < REQUEST_SERVICES; slot++) {
		struct request_service_slot *x = &s->service[slot];

		x->chain = (struct request_chain){NO_GROUP, NO_GROUP};
		if (!x->key.protocol || !x->label[0])
			continue;
		for (leader = 0; leader < slot; leader++)
			if (s->service[leader].chain.leader == leader &&
			    same_service(&s->service[leader], x))
				break;
		x->chain.leader = leader;
		if (leader < slot)
			s->service[last[leader]].chain.next = slot;
		last[leader] = slot;
	}
}

static uint64_t hash_operation(const struct request_source *s,
			       const struct request_operation_slot *x)
{
	const struct request_service_slot *service = &s->service[x->seen.service];
	uint64_t seed = service->key.protocol * TCP_DIRECTIONS + service->key.direction;

	seed = labels_hash(seed, service->label, strlen(service->label));
	return labels_hash(seed, x->name, strlen(x->name));
}

static void group_operations(struct request_source *s)
{
	uint32_t last[REQUEST_OPERATIONS], leader;

	for (uint32_t slot = 0; slot < REQUEST_OPERATIONS; slot++) {
		struct request_operation_slot *x = &s->operation[slot];
		uint16_t service = s->service[x->seen.service].chain.leader;

		x->chain = (struct request_chain){NO_GROUP, NO_GROUP};
		if (!x->seen.used || service == NO_GROUP)
			continue;
		x->hash = hash_operation(s, x);
		for (leader = 0; leader < slot; leader++) {
			const struct request_operation_slot *y = &s->operation[leader];

			if (y->chain.leader == leader && y->hash == x->hash &&
			    s->service[y->seen.service].chain.leader == service &&
			    strcmp(y->name, x->name) == 0)
				break;
		}
		x->chain.leader = leader;
		if (leader < slot)
			s->operation[last[leader]].chain.next = slot;
		last[leader] = slot;
		if (!x->judged)
			judge_operation(s, slot);
	}
}

bool request_slots_update(struct request_source *s)
{
	struct changes c = {.ended = s->first, .regroup = s->first};

	for (uint32_t slot = REQUEST_OTHERS; slot < REQUEST_SERVICES; slot++)
		update_service(s, slot, &c);
	for (uint32_t slot = REQUEST_OTHERS; slot < REQUEST_OPERATIONS; slot++)
		update_operation(s, slot, &c);
	if (c.regroup || c.ended) {
		group_services(s);
		group_operations(s);
	}
	s->first = false;
	return c.ended;
}

/* "other" has its slots from the beginning and keeps them. */
void request_slots_init(struct request_source *s)
{
	for (uint32_t slot = 0; slot < REQUEST_SERVICES; slot++)
		s->service[slot].chain = (struct request_chain){NO_GROUP, NO_GROUP};
	for (uint32_t slot = 0; slot < REQUEST_OPERATIONS; slot++)
		s->operation[slot].chain = (struct request_chain){NO_GROUP, NO_GROUP};
	for (uint32_t slot = 0; slot < REQUEST_OTHERS; slot++) {
		s->service[slot].key = (struct request_key){.protocol = 1 + slot / TCP_DIRECTIONS,
							    .direction = slot % TCP_DIRECTIONS};
		snprintf(s->service[slot].label, sizeof(s->service[slot].label), "other");
		s->operation[slot].seen = (struct request_operation){.service = slot, .used = 1};
		snprintf(s->operation[slot].name, sizeof(s->operation[slot].name), "other");
	}
	s->first = true;
}
