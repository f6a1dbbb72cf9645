/* probes.h - loads and attaches the BPF half, and maps its arrays. Keeper only, root.
 *
 * Each probe is one BPF object; one that cannot load is reported with its reason in shared memory
 * and the rest goes on. What may differ between kernels is decided by looking (BTF, trying), never
 * by version. A role maps the arrays after the fork, by the inherited descriptors, which takes no
 * capability on any kernel, and reads them without a call.
 */
#ifndef TRIMTAB_PROBES_H
#define TRIMTAB_PROBES_H

#include <stdbool.h>
#include <stdint.h>
#include "config.h"
#include "shared.h"

/* The mapped arrays; NULL where the probe is not loaded. Element counts are in include/maps.h,
 * those per CPU have shared->cpus elements. */
struct probe_maps {
	const struct syscall_cpu *syscall_cpus;
	const struct sched_cpu *sched_cpus;
	const struct disk_device *disk_devices;
	const struct tcp_port *tcp_ports;
	struct cgroup_cpu *cgroup_cpus;	     /* the generation is written by the agent */
	int cgroup_ids_fd, cgroup_misses_fd; /* hashes; -1 */
	struct tcp_totals *tcp_totals;	     /* the sweep's counters are written by the keeper */
	struct request_service *request_services;     /* slow_ns is written by the agent */
	struct request_operation *request_operations; /* flags are written by the agent */
	/* [slot * request_shards + shard] */
	const struct request_service_counts *request_service_counts;
	const struct request_operation_counts *request_operation_counts;
	const struct request_totals *request_totals; /* [shard] */
	uint32_t request_shards;
	int request_slow_fd;	   /* a ring buffer of struct request_slow; -1 */
	int request_statements_fd; /* a ring buffer of struct request_statement; -1 */
};

struct probes;

/* Loads every enabled probe and attaches what is always on. Never fails as a whole but for lack of
 * memory: s->probe[] says what works. probes_free() detaches and unloads everything. */
int probes_load(const struct config *config, struct shared *s, struct probes **ret);
/* Loads the probe "tls", which is wanted only by some: 0, or -errno, and the log says why. */
int probes_load_tls(struct probes *p, const struct config *config);
void probes_free(struct probes *p);
/* Says in s->probe[] how a probe is. */
void probes_say(struct probes *p, const char *probe, enum probe_phase phase, const char *reason);
/* In a fresh child: closes the programs and links (which the keeper goes on holding), not the maps.
 */
void probes_forget(struct probes *p);
/* The arrays that the keeper itself reads. */
const struct probe_maps *probes_maps(const struct probes *p);
/* In a child: maps all of them (what is mapped counts as resident, so the keeper does not). */
const struct probe_maps *probes_map_all(struct probes *p);
/* One array for a while, to read and write; NULL if it is not loaded. */
void *probes_map(struct probes *p, const char *name, size_t bytes);
void probes_unmap(void *array, size_t bytes);
int probes_map_fd(const struct probes *p, const char *name); /* -1: not loaded */
/* What the programs that see requests share with the keeper, and the number of shards that they
 * count in; NULL if they are not loaded. */
struct request_control *probes_requests(struct probes *p, uint32_t *ret_shards);
bool probes_loaded(const struct probes *p, const char *probe);

/* Attaches or detaches one program by its name; attaching twice is fine. 0 or -errno (-ENOENT: not
 * loaded on this kernel). */
int probes_attach(struct probes *p, const char *program, bool on);
/* For programs that the caller attaches by himself: their descriptor (-ENOENT: not loaded), and to
 * say that they are attached. */
int probes_program_fd(struct probes *p, const char *program);
void probes_say_attached(struct probes *p, const char *program, bool on);
/* Detaches or attaches all that a probe always has on; says so in s->probe[]. */
int probes_shed(struct probes *p, const char *probe, bool shed, const char *why);
/* Opens (since_ns) or closes (0) the window of the syscall programs. */
void probes_open_window(struct probes *p, uint64_t since_ns);
/* Runs the TCP iterator in the network namespace of the calling process. 0 or -errno. */
int probes_sweep_tcp(struct probes *p);
void probes_first_sweep_done(struct probes *p);
/* Counts the connections that carry requests, for the programs' bound. 0 or -errno. */
int probes_count_requests(struct probes *p);
/* Reads each program's run time, runs and missed runs since it was loaded, in s->prog[] order. */
struct probe_run {
	uint64_t run_ns, runs, missed;
};
int probes_runs(struct probes *p, struct probe_run *ret, uint32_t n);
/* A descriptor of some map, for a role to find out whether it may use it; -1 if nothing is loaded.
 */
int probes_any_map_fd(const struct probes *p);

#endif
