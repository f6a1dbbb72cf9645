/* cpu.c - CPU time and processes. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int run_spin(struct load *l)
{
	uint64_t seconds, start_ns = now_ns();

	if (!number(l->arg[0], 3600, &seconds))
		return bad("not a number of seconds (to 3600)", l->arg[0]);
	spin_until(start_ns + seconds * NS_PER_S);
	printf("{\"command\":\"spin\",\"seconds\":%" PRIu64, seconds);
	return done(start_ns);
}

int run_fork(struct load *l)
{
	uint64_t n, start_ns = now_ns();

	if (!number(l->arg[0], 1000000, &n))
		return bad("not a count (to 1000000)", l->arg[0]);
	for (uint64_t i = 0; i < n; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		if (pid < 0 || !child_done(pid))
			return fail(errno, "fork");
	}
	printf("{\"command\":\"fork\",\"forks\":%" PRIu64, n);
	return done(start_ns);
}
