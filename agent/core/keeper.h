/* keeper.h - the root process: loads BPF, makes the shared memory, keeps the roles running.
 *
 * It has no network and takes only fixed-size requests from its roles. One thread around ppoll():
 * everything it does at a time is an entry of a small table with a due time.
 */
#ifndef TRIMTAB_KEEPER_H
#define TRIMTAB_KEEPER_H

#include <stdint.h>
#include "config.h"

/* One request of a role on its socket; answered by an int32_t, 0 or -errno. */
enum keeper_request_type { KEEPER_EXACT = 1 };

struct keeper_request {
	uint32_t type;	/* enum keeper_request_type */
	uint32_t value; /* KEEPER_EXACT: seconds, at most KEEPER_EXACT_MAX_S; 0: back */
};

#define KEEPER_EXACT_MAX_S 3600

/* Runs until SIGTERM or SIGINT. Returns the exit status. Takes the configuration over. */
int keeper_run(struct config *config, const char *config_file);

#endif
