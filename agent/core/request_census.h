/* request_census.h - counts the connections that carry requests. Keeper only.
 *
 * No hook tells when a socket's storage goes, so all of it is walked now and then (0.1 us a
 * connection), and the programs' own count of those they made is set to what is really there.
 */
#ifndef TRIMTAB_REQUEST_CENSUS_H
#define TRIMTAB_REQUEST_CENSUS_H

#include <stdint.h>
#include "probes.h"

#define REQUEST_CENSUS_NS 10000000000ULL

struct request_census {
	struct probes *probes;
	uint64_t due_ns;
};

void request_census_init(struct request_census *c, struct probes *p, uint64_t now_ns);
void request_census_run(struct request_census *c, uint64_t now_ns);

#endif
