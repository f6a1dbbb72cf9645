#include "governor.h"

#include "config.h"

const struct governor_level governor_levels[] = {
    {SYSCALL_EXACT, 1, 1, false, "nothing is shed"},
    {SYSCALL_WINDOWS, 1, 1, false, "system calls in windows instead of all of them"},
    {SYSCALL_WINDOWS, 4, 1, false, "a quarter of the windows"},
    {SYSCALL_BLOCKED, 1, 1, false, "no windows: only blocked system calls"},
    {SYSCALL_BLOCKED, 1, 6, false, "TCP sweeps six times rarer"},
    {SYSCALL_BLOCKED, 1, 6, true, "no run-queue and blocked time"},
};
const uint32_t governor_levels_n = sizeof(governor_levels) / sizeof(*governor_levels);

bool governor_step(struct governor *g, double ratio, double budget)
{
	g->over = ratio > budget ? g->over + 1 : 0;
	g->under = ratio < budget / 2 ? g->under + 1 : 0;
	if (g->over >= GOVERNOR_PATIENCE && g->level + 1 < governor_levels_n) {
		g->level++;
		g->over = 0;
		return true;
	}
	if (g->under >= GOVERNOR_RECOVERY && g->level > 0) {
		g->level--;
		g->under = 0;
		return true;
	}
	return false;
}
