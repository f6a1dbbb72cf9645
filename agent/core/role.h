/* role.h - starting, stopping and restarting an unprivileged child of the keeper. */
#ifndef TRIMTAB_ROLE_H
#define TRIMTAB_ROLE_H

#include <stdbool.h>
#include <stdint.h>
#include "shared.h"

/* What a role ends with when it cannot work as it is configured, so that a restart is no use. */
#define ROLE_EXIT_CONFIG 78
#define ROLE_BACKOFF_MIN_NS 100000000ULL
#define ROLE_BACKOFF_MAX_NS 30000000000ULL
#define ROLE_HEALTHY_NS 60000000000ULL /* after running so long, the back-off starts anew */
#define ROLE_WATCH_LOOKS 10

/* What the keeper relies on is here: `shared` can be written by the role, and is only told. */
struct role_process {
	struct shared_role *shared;
	int (*main)(void *arg,
		    int keeper_fd); /* runs in the child; its result is the exit status */
	void *arg;
	pid_t pid; /* 0: not running */
	int fd;	   /* the keeper's end of its socket; -1: not running */
	uint64_t started_ns;
	uint64_t backoff_ns;	     /* before the next start */
	uint64_t due_ns;	     /* when to start it; UINT64_MAX: it runs, or never */
	uint64_t beats, start_beats; /* seen last, and when it started */
	uint32_t silent;	     /* looks in a row that saw no beat */
	uint64_t watch_due_ns;	     /* when to look; UINT64_MAX: not running */
};

void role_init(struct role_process *r, struct shared_role *shared, const char *name,
	       int (*main)(void *arg, int keeper_fd), void *arg);
/* 0 or -errno; in the child it does not return. */
int role_start(struct role_process *r, uint64_t now_ns);
/* Takes note of its end and plans the next start. True if it refused its configuration: it ended
 * with ROLE_EXIT_CONFIG and never ran. */
bool role_ended(struct role_process *r, int status, uint64_t now_ns);
/* Kills a role that has not beaten for hang_ns. It looks ROLE_WATCH_LOOKS times in that time and
 * counts, so that a pause of both (a frozen cgroup, a sleeping machine) is no hang. */
void role_watch(struct role_process *r, uint64_t hang_ns, uint64_t now_ns);
/* Asks it to end, waits up to a second, then kills it. */
void role_stop(struct role_process *r);

#endif
