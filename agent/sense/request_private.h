/* request_private.h - what the files of the module "request" share.
 *
 *   request_slots.c   who holds each slot of the BPF programs, and which of them are one series
 *   request_counts.c  sums over the shards; snapshots, for what happened lately
 *   request_slow.c    the ring of slow samples
 *   request_ring.c    the ring of PostgreSQL's statements
 *   request_view.c    figures for the API
 *   request.c         the module, and its series
 */
#ifndef TRIMTAB_REQUEST_PRIVATE_H
#define TRIMTAB_REQUEST_PRIVATE_H

#include <regex.h>
#include <stdbool.h>
#include "core/agent.h"
#include "core/probes.h"
#include "sense/cgroup_names.h"
#include "sense/host.h"
#include "sense/request.h"

#define REQUEST_WINDOW_NS (10ULL * 1000000000)

struct request_ring;
struct ring_buffer;

/* Slots of the same labels are a group, chained in the order of the slots from its leader on. */
struct request_chain {
	uint16_t leader; /* a slot is in no group if its leader is NO_GROUP */
	uint16_t next;	 /* NO_GROUP: it is the last */
};
#define NO_GROUP UINT16_MAX

struct request_service_slot {
	struct request_key key; /* protocol REQUEST_NONE: the slot is free */
	struct request_chain chain;
	uint64_t met_ns;	       /* when this key was seen first */
	uint64_t print;		       /* at the last tick: see request_counts.c; 0: none */
	char label[REQUEST_LABEL_MAX]; /* "": it has no name yet */
	char cgroup[CGROUP_PATH_MAX];  /* "": not known */
};

struct request_operation_slot {
	struct request_operation seen; /* used 0: the slot is free */
	struct request_chain chain;
	bool judged;   /* request.untimed was looked at */
	uint64_t hash; /* of its labels, while it is in a group */
	uint64_t print;
	char name[REQUEST_NAME];
};

/* Two snapshots of everything, the older one 10 to 20 s old. Pages of slots that are not in use are
 * never touched; 3.6 MB if all are. */
struct request_window {
	uint64_t at_ns[2]; /* 0: not taken yet */
	unsigned older;
	uint64_t service_print[REQUEST_SERVICES][2], operation_print[REQUEST_OPERATIONS][2];
	struct request_service_counts service[REQUEST_SERVICES][2];
	struct request_operation_counts operation[REQUEST_OPERATIONS][2];
};

/* Owned by the module. */
struct request_source {
	struct agent *agent;
	struct cgroup_names *cgroups;
	char logs[HOST_PATH_MAX]; /* "/var/log" */
	uint64_t now_ns;	  /* of the tick */
	bool first;		  /* no tick was made yet */
	bool has_regex;		  /* request.untimed */
	regex_t untimed;
	struct request_service_slot service[REQUEST_SERVICES];
	struct request_operation_slot operation[REQUEST_OPERATIONS];
	struct ring_buffer *ring; /* NULL: slow samples cannot be read */
	unsigned taken;		  /* by this tick */
	uint64_t samples;	  /* taken so far */
	struct request_sample sample[REQUEST_SAMPLES];
	struct request_ring *statements; /* NULL: they cannot be read */
	struct request_window window;
};

/* --- request_slots.c */

/* Looks who holds each slot now. True if a slot was taken away or may have been: what was written
 * of it before is to end. */
bool request_slots_update(struct request_source *s);
void request_slots_init(struct request_source *s);

/* --- request_counts.c: all of them sum over the shards */

struct request_operation_look {
	uint64_t print; /* changes when anything of the slot does */
	uint64_t duration_ns, outcome[REQUEST_OUTCOMES];
};
struct request_service_look {
	uint64_t print;
	uint64_t response_ns, queue_ns, class[REQUEST_CLASSES], unanswered;
};
/* Sets ret to what is cheap to sum. */
void request_look_operation(const struct probe_maps *m, uint32_t slot,
			    struct request_operation_look *ret);
void request_look_service(const struct probe_maps *m, uint32_t slot,
			  struct request_service_look *ret);
/* Adds all that a slot counted. */
void request_add_operation(const struct probe_maps *m, uint32_t slot,
			   struct request_operation_counts *sum);
void request_add_service(const struct probe_maps *m, uint32_t slot,
			 struct request_service_counts *sum);

/* Takes a snapshot when it is time. */
void request_window_turn(struct request_window *w, const struct probe_maps *m, uint64_t now_ns);
/* Adds what a slot counted in the window. */
void request_window_add_operation(const struct request_window *w, const struct probe_maps *m,
				  uint32_t slot, struct request_operation_counts *sum);
void request_window_add_service(const struct request_window *w, const struct probe_maps *m,
				uint32_t slot, struct request_service_counts *sum);
/* A slot was taken away and its counts were added to those of `other`. */
void request_window_fold_operation(struct request_window *w, uint32_t slot, uint32_t other);
void request_window_fold_service(struct request_window *w, uint32_t slot, uint32_t other);

/* --- request_slow.c */

/* 0, or -errno: there will be no samples. */
int request_slow_open(struct request_source *s);
void request_slow_close(struct request_source *s);
/* Tells the programs which requests are slow, and takes their samples. */
void request_slow_tick(struct request_source *s);
/* One sample, as the ring holds it; what is not one is passed over. */
void request_slow_take(struct request_source *s, const void *data, size_t bytes);
/* A service has got its name: so have its samples. */
void request_slow_named(struct request_source *s, uint32_t slot);

/* --- request_ring.c */

/* 0, or -errno: there will be no statements. */
int request_ring_open(struct request_source *s);
void request_ring_close(struct request_source *s);
void request_ring_tick(struct request_source *s);
/* One sample, as the ring holds it. */
void request_ring_take(struct request_source *s, const void *data, size_t bytes);
/* A slot of a service has changed hands. */
void request_ring_forget(struct request_source *s, uint32_t slot);

#endif
