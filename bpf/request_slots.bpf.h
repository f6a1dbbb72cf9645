/* request_slots.bpf.h - slots of services and operations: a key has one of its own from its first
 * use on, or the one of "other". For every way of seeing requests.
 */
#ifndef TRIMTAB_REQUEST_SLOTS_BPF_H
#define TRIMTAB_REQUEST_SLOTS_BPF_H

#include "request_connection.bpf.h"

/* Gives a key a slot of its own, on first use; `other` if all are taken. *next is where a free one
 * is looked for; user space takes a slot back by deleting both entries, and turns *next back to it.
 */
#define REQUEST_SLOT_TRIES 16

static __always_inline __u32 request_slot(void *ids, void *owners, const void *key, __u32 *next,
					  __u32 slots, __u32 other)
{
	__u32 *known = bpf_map_lookup_elem(ids, key), slot;

	if (known)
		return *known < slots ? *known : other;
	for (int i = 0; i < REQUEST_SLOT_TRIES; i++) {
		slot = *next;
		if (slot < REQUEST_OTHERS)
			slot = REQUEST_OTHERS;
		if (slot >= slots)
			return other;
		*next = slot + 1;
		if (bpf_map_update_elem(owners, &slot, key, BPF_NOEXIST))
			continue;
		if (!bpf_map_update_elem(ids, key, &slot, BPF_NOEXIST))
			return slot;
		bpf_map_delete_elem(owners, &slot); /* another CPU was first with this key */
		known = bpf_map_lookup_elem(ids, key);
		return known && *known < slots ? *known : other;
	}
	return other;
}

static __always_inline __u32 request_other(__u32 protocol, __u32 direction)
{
	return (((protocol - 1) & 3) * TCP_DIRECTIONS) | (direction & 1);
}

#ifndef REQUEST_INTRODUCE
/* A service has its first connection, which the current task uses. */
static __always_inline void request_introduce(struct request_service *s,
					      const struct request_key *key)
{
	bpf_get_current_comm(s->comm, sizeof(s->comm));
	s->key = *key;
}
#endif

static __always_inline __u32 request_service_of(const struct request_key *key)
{
	__u32 other = request_other(key->protocol, key->direction);
	__u32 slot = request_slot(&request_service_ids, &request_service_owners, key,
				  &request_control.next_service, REQUEST_SERVICES, other);
	struct request_service *s = bpf_map_lookup_elem(&request_services, &slot);

	if (s && slot >= REQUEST_OTHERS && !s->key.protocol)
		request_introduce(s, key);
	return slot;
}

/* A new operation: a slot of its own, unless the service has enough of them. */
__noinline __u32 request_new_operation(REQUEST_C_PARAM, REQUEST_W_PARAM, __u64 key)
{
	struct request_operation *o;
	struct request_service *s;
	__u32 service, slot;

	REQUEST_FIND_C(0)
	REQUEST_FIND_W(0)
	service = c->service;
	slot = request_other(c->protocol, c->direction);
	s = bpf_map_lookup_elem(&request_services, &service);
	if (!s || service < REQUEST_OTHERS)
		return slot;
	if (s->operations >= REQUEST_OPERATIONS_EACH) {
		set_name(w, NAME8('o', 't', 'h', 'e', 'r', 0, 0, 0), 0);
		key = hash_word(w->hash, service);
	}
	slot = request_slot(&request_operation_ids, &request_operation_owners, &key,
			    &request_control.next_operation, OPERATION_UNNAMED, slot);
	o = bpf_map_lookup_elem(&request_operations, &slot);
	if (o && slot >= REQUEST_OTHERS && !o->used) {
		o->service = service;
		__builtin_memcpy(o->name, w->name.text, sizeof(o->name));
		o->name[sizeof(o->name) - 1] = 0;
		o->used = 1;
		__sync_fetch_and_add(&s->operations, 1);
	}
	return slot;
}

/* The slot of the operation that work->name and work->hash tell. */
static __always_inline __u32 request_operation_of(REQUEST_PARAMS)
{
	__u64 key;
	__u32 *known;

	if (likely(w->hash == c->hash && w->hash))
		return c->operation;
	if (!w->hash)
		return OPERATION_UNNAMED;
	key = hash_word(w->hash, c->service);
	known = bpf_map_lookup_elem(&request_operation_ids, &key);
	c->operation = known ? *known : request_new_operation(REQUEST_C, REQUEST_W, key);
	c->hash = w->hash;
	return c->operation;
}

/* The slot of what has no name: "other" of its service. */
__noinline __u32 request_other_operation(REQUEST_C_PARAM, REQUEST_W_PARAM)
{
	REQUEST_FIND_C(0)
	REQUEST_FIND_W(0)
	set_name(w, NAME8('o', 't', 'h', 'e', 'r', 0, 0, 0), 0);
	return request_operation_of(REQUEST_BOTH);
}

#endif
