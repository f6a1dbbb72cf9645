/* reclaim.h - takes slots back from devices that are gone and ports that fell silent. Keeper only.
 *
 * Looked at every RECLAIM_SWEEPS periods of the TCP sweep. A device's slot is taken back when the
 * device is gone; a port's when the table is three quarters full and nothing happened on it for
 * RECLAIM_IDLE looks. First the key is deleted, so that the programs find the slot no more; one
 * look later, when none of them can be at it still, its counters are added to "other", and
 * the slot is free. So the sum over all slots never falls. The arrays are mapped only while they
 * are looked at.
 */
#ifndef TRIMTAB_RECLAIM_H
#define TRIMTAB_RECLAIM_H

#include <stdint.h>
#include "maps.h"
#include "probes.h"

#define RECLAIM_SWEEPS 6
#define RECLAIM_IDLE 10
#define RECLAIM_SLOTS (TCP_PORTS > DISK_DEVICES ? TCP_PORTS : DISK_DEVICES)

struct reclaim_slot {
	uint64_t activity; /* sum of the counters at the last look */
	uint32_t idle;	   /* looks since it changed */
	uint32_t draining; /* its key is deleted */
};

/* Notes what the counters sum up to now. */
static inline void reclaim_watch(struct reclaim_slot *s, uint64_t activity)
{
	s->idle = activity == s->activity ? s->idle + 1 : 0;
	s->activity = activity;
}

struct shared;

struct reclaim {
	struct probes *probes;
	uint64_t period_ns, due_ns;
	struct shared *shared;
	struct reclaim_slot tcp[RECLAIM_SLOTS], disk[RECLAIM_SLOTS];
	struct reclaim_slot request[REQUEST_SERVICES]; /* see request_reclaim.h */
};

void reclaim_init(struct reclaim *r, struct probes *p, struct shared *s, uint64_t sweep_period_ns,
		  uint64_t now_ns);
void reclaim_run(struct reclaim *r, uint64_t now_ns);

#endif
