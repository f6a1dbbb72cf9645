/* disk_stamps.h - whether the disk probe needs its issue hook. Keeper only.
 *
 * The hook costs a hash entry an I/O. It is attached at the start, detached when there was I/O for
 * DISK_STAMPS_PERIOD_NS and none of it needed the hook, and attached again as soon as one did.
 */
#ifndef TRIMTAB_DISK_STAMPS_H
#define TRIMTAB_DISK_STAMPS_H

#include <stdint.h>
#include "probes.h"

#define DISK_STAMPS_PERIOD_NS 10000000000ULL

struct disk_stamps {
	struct probes *probes;
	uint64_t due_ns;
	uint64_t needed, done; /* at the last look */
	const char *program;
};

void disk_stamps_init(struct disk_stamps *d, struct probes *p, uint64_t now_ns);
void disk_stamps_run(struct disk_stamps *d, uint64_t now_ns);

#endif
