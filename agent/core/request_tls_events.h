/* request_tls_events.h - attaches the programs of bpf/request_tls.bpf.c to a file, for some
 * processes and all that they fork. Keeper only.
 *
 * The kernel knows two kinds of uprobes for perf: one of its own, which is not inherited by a fork,
 * and events of tracefs, which are. So each place in a file is an event of tracefs, in a group that
 * bears the keeper's pid. A program is attached to it by one perf event (of the keeper itself,
 * which counts nothing), the processes by one each: the kernel puts breakpoints into these alone.
 * None of these perf events is ever enabled: the program runs all the same, and a context switch
 * costs less.
 *
 * Tasks that inherited all the perf events of one and the same task have them exchanged, when one
 * takes the CPU from the other, and each then takes those of the other with it when it ends. An
 * event that is not inherited, the guard, prevents that for what a process forks; not for what its
 * children fork in turn.
 *
 * Bounds: TLS_PLACES descriptors a file, as many for each process that is attached. Cost: 0.1 ms a
 * process; 30 ms to take a file away.
 */
#ifndef TRIMTAB_REQUEST_TLS_EVENTS_H
#define TRIMTAB_REQUEST_TLS_EVENTS_H

#include <sys/types.h>
#include "request_tls_symbols.h"

struct tls_events {
	unsigned number;	/* the file's, in the names of its events */
	int id[TLS_PLACES];	/* of the events; -1: there is none */
	int holder[TLS_PLACES]; /* descriptors that keep the programs attached; -1 */
};

/* By place: the name of its program. */
extern const char *const tls_programs[TLS_PLACES];

/* The directory of tracefs, wherever it is mounted, or else where nobody sees it. -errno. Takes
 * away what a keeper that was killed has left there. */
int request_tls_tracefs(void);
/* fd: the file; programs: descriptors. 0 or -errno, and then nothing is left behind. */
int request_tls_events_make(int tracefs, int fd, unsigned number, const struct tls_symbols *symbols,
			    const int programs[TLS_PLACES], struct tls_events *ret);
void request_tls_events_drop(int tracefs, struct tls_events *e);
/* To be opened before the others of a process. A descriptor, or -errno. */
int request_tls_events_guard(pid_t pid);
/* ret_fds: -1 where there is none. 0 or -errno, and then all are -1. */
int request_tls_events_attach(const struct tls_events *e, pid_t pid, int ret_fds[TLS_PLACES]);
void request_tls_events_detach(int fds[TLS_PLACES]);

#endif
