/* windows.h - when every syscall is observed: never, in randomly placed windows, or all the time.
 *
 * Keeper only. Windows of syscall.window_ms come once in syscall.period_ms on average, after pauses
 * of random length, so that no periodic load can hide from them or stay in them. The programs are
 * attached just before it opens and detached when it closes, since only that takes their cost off
 * the other calls.
 */
#ifndef TRIMTAB_WINDOWS_H
#define TRIMTAB_WINDOWS_H

#include <stdint.h>
#include "probes.h"

struct windows {
	struct probes *probes;
	struct shared_windows *shared;
	uint64_t window_ns, period_ns;
	uint64_t due_ns;  /* when windows_run() has something to do; UINT64_MAX: never */
	uint32_t limit;	  /* enum syscall_mode: the governor allows no more than this */
	uint32_t stretch; /* the governor's: a window comes only once in so many periods */
};

void windows_init(struct windows *w, struct probes *p, struct shared_windows *s,
		  const struct config *config, uint64_t now_ns);
/* Applies a changed mode: the configured one, the one asked for, the governor's limit. */
void windows_apply(struct windows *w, uint64_t now_ns);
/* exact mode for a bounded time; 0 seconds: back to the configured mode */
void windows_ask_exact(struct windows *w, uint64_t now_ns, uint32_t seconds);
/* Opens, closes or ends what is due. */
void windows_run(struct windows *w, uint64_t now_ns);

#endif
