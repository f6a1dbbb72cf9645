/* agent_role.h - the agent's process: its modules around one libuv loop. */
#ifndef TRIMTAB_AGENT_ROLE_H
#define TRIMTAB_AGENT_ROLE_H

#include "agent.h"
#include "privilege.h"

struct agent_setup {
	struct config *config;
	const char *config_file; /* NULL: none */
	struct shared *shared;
	const struct probe_maps *maps;
	int map_fd; /* some BPF map, to find out whether this kernel lets the role read it; -1 */
	void *store_memory;
	uint32_t histograms;
	uint64_t *beats; /* goes up with each turn of its timer */
	struct privilege_user user;
	const char *token;
	int keeper_fd;
};

/* Runs until SIGTERM or the keeper's end. Returns the exit status. */
int agent_role_main(const struct agent_setup *setup);

#endif
