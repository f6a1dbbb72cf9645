/* agent.h - what a role's modules are given. */
#ifndef TRIMTAB_AGENT_H
#define TRIMTAB_AGENT_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>
#include "config.h"
#include "module.h"
#include "shared.h"
#include "store/store.h"

struct probe_maps;

#define AGENT_MODULES_MAX 32

enum module_phase { MODULE_RUNNING, MODULE_OFF, MODULE_FAILED };

struct module_slot {
	const struct module *module;
	void *state;
	enum module_phase phase;
	char reason[SHARED_REASON_MAX]; /* why it is off or failed */
	uint64_t ticks, errors;
	uint64_t tick_ns; /* time spent in tick(), total */
};

struct agent {
	uv_loop_t loop;
	struct config *config;	 /* owned; replaced by SIGHUP: read it anew each time */
	const char *config_file; /* NULL: none */
	struct store *store;
	struct shared *shared;
	const struct probe_maps *maps; /* the BPF arrays, mapped; see core/probes.h */
	int keeper_fd;		       /* requests to the keeper; -1: none (tests) */
	char token[65];		       /* the bearer token */
	struct module_slot slots[AGENT_MODULES_MAX];
	size_t slots_n;
	struct module_slot *current; /* whose callback runs */
};

/* Says why the current module's init or tick failed; shown in the log and in /api/status. */
__attribute__((format(printf, 2, 3))) void agent_reason(struct agent *a, const char *format, ...);

/* CLOCK_MONOTONIC, the clock of the BPF programs. */
uint64_t agent_now_ns(void);

/* Asks the keeper to trace every syscall for `seconds` (0: back to the configured mode).
 * 0 or -errno (-ENOTSUP: the syscall programs are not loaded). */
int agent_request_exact(struct agent *a, uint32_t seconds);

/* The table of modules, ended by NULL (modules.c). */
extern const struct module *const agent_modules[];

#endif
