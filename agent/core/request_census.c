#include "request_census.h"

#include <string.h>
#include "log.h"

void request_census_init(struct request_census *c, struct probes *p, uint64_t now)
{
	*c = (struct request_census){.probes = p, .due_ns = now};
	if (!probes_loaded(p, "request"))
		c->due_ns = UINT64_MAX;
}

void request_census_run(struct request_census *c, uint64_t now)
{
	int err;

	if (now < c->due_ns)
		return;
	err = probes_count_requests(c->probes);
	if (err)
		log_warn("keeper", "cannot count the connections with requests: %s",
			 strerror(-err));
	c->due_ns = now + REQUEST_CENSUS_NS;
}
