/* sweep.h - the periodic walk over all TCP sockets, in each network namespace. Keeper only.
 *
 * The kernel's iterator shows the sockets of the network namespace that its caller is in, so the
 * keeper enters each one that it finds under /proc (at most SWEEP_NAMESPACES, looked up anew every
 * SWEEP_LOOKUP_NS). One walk costs what the kernel's hash table of connections is long, however few
 * there are, so the pause after a sweep is so long that sweeps take at most SWEEP_SHARE of the CPU
 * budget.
 */
#ifndef TRIMTAB_SWEEP_H
#define TRIMTAB_SWEEP_H

#include <stdint.h>
#include <sys/types.h>
#include "probes.h"

#define SWEEP_NAMESPACES 256
#define SWEEP_LOOKUP_NS 60000000000ULL
#define SWEEP_SHARE 0.1 /* of the CPU budget, at most: 0.1 % of one core by default */

struct sweep_namespace {
	ino_t inode;
	pid_t pid; /* a process that was seen in it */
};

struct sweep {
	struct probes *probes;
	struct shared *shared;
	uint64_t period_ns, due_ns, lookup_due_ns;
	uint32_t stretch; /* the governor's: sweeps are so many times rarer */
	double budget_ratio;
	int own_fd; /* the keeper's own network namespace */
	ino_t own_inode;
	struct sweep_namespace namespace[SWEEP_NAMESPACES];
	uint32_t namespaces_n;
};

void sweep_init(struct sweep *s, struct probes *p, struct shared *shared, uint64_t period_ns,
		double budget_ratio, uint64_t now_ns);
void sweep_run(struct sweep *s, uint64_t now_ns);
void sweep_fini(struct sweep *s);

#endif
