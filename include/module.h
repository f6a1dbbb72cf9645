/* module.h - the contract of everything the roles run: sources, the judge, the servers.
 *
 * A role is data: the modules of agent/core/modules.c that are tagged with it. A new source is one
 * new file with one `const struct module` and one line in that table.
 */
#ifndef TRIMTAB_MODULE_H
#define TRIMTAB_MODULE_H

#include <stdint.h>

struct agent;

enum role {
	ROLE_AGENT = 1 << 0,
};

struct module {
	const char *name;  /* config section and metric prefix */
	const char *about; /* one line, for --list */
	unsigned roles;	   /* which processes run it: a set of enum role */
	unsigned
	    period_ms; /* 0: driven by its descriptors alone; 2000 stands for agent.period_ms */
	unsigned essential; /* 1: the role ends if its init fails (but for -ENOTSUP) */
	/* 0 or -errno. init leaves nothing behind on failure; -ENOTSUP means "not on this kernel or
	 * not configured": said once, in the log and in /api/status, and life goes on. On failure
	 * it may give the reason with agent_reason(). */
	int (*init)(struct agent *a, void **ret_state);
	/* now_ns: CLOCK_MONOTONIC. An error is logged (rate-limited) and the next tick comes
	 * anyway. */
	int (*tick)(struct agent *a, void *state, uint64_t now_ns);
	void (*fini)(struct agent *a, void *state); /* state may be NULL */
};

#endif
