/* request_reclaim.h - takes slots back from services that fell silent, with those of their
 * operations. Keeper only.
 *
 * Looked at when reclaim.h looks. A service's slot is taken back when three quarters of the slots
 * of services or of operations are in use, no connection that carries its requests is left, and
 * nothing was counted of it for RECLAIM_IDLE looks. First its key is deleted, so that a new
 * connection gets another slot; at the next look, if no connection was quicker than that, its
 * counts are added to those of a slot with the same name (a unit that was restarted), else to
 * "other", and the slot is free. So the sum over all slots never falls.
 *
 * The programs add to the slots of their own CPU without a lock: what is added here is added on one
 * CPU, to that CPU's.
 *
 * Cost: a look reads 3,000 counters a shard, and walks the connections (0.1 us each); a slot that
 * is taken back costs some 50 us.
 */
#ifndef TRIMTAB_REQUEST_RECLAIM_H
#define TRIMTAB_REQUEST_RECLAIM_H

#include "maps.h"
#include "probes.h"
#include "reclaim.h"

struct shared;

/* Looks at all services. `state` has REQUEST_SERVICES elements, zero at first. */
void request_reclaim_look(struct probes *p, struct shared *s, struct reclaim_slot *state);

#endif
