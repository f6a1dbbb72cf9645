/* own.h - the program's own series: what it is, what it costs, what it served.
 *
 * Bounds: one counter a route and status, one histogram a route that was used. Cost: own_update()
 * about 0.2 ms (/proc/self/fd, and a small file of /proc a process), own_count() 20 ns.
 */
#ifndef TRIMTAB_OWN_H
#define TRIMTAB_OWN_H

#include <stddef.h>
#include <stdint.h>
#include "store/store.h"

struct agent;
struct own;
struct route;

#ifdef __clang__
#define OWN_COMPILER "clang " __clang_version__
#else
#define OWN_COMPILER "gcc " __VERSION__
#endif

struct own *own_new(void);
void own_free(struct own *o);

/* One request that was answered; route NULL: none fitted. */
void own_count(struct own *o, const struct route *route, int status, uint64_t took_ns);
/* Writes the series; at each tick, so that they stay live. */
void own_update(struct own *o, struct agent *a, uint64_t now_ns);

#endif
