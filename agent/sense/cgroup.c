/* cgroup.c - the module "cgroup": CPU, memory, processes and pressure of the busiest cgroups.
 *
 * Purpose: which service or container uses the node. Inputs: cgroup v1 and v2 mounts, also both at
 * once, found in mountinfo; a cgroup is its path, the same in each hierarchy, and each figure is
 * read from v1's controller where that is mounted and has the path, else from v2.
 *
 * A round lasts about 10 s. It begins with a walk of the directories; its ticks then share the
 * leaves out: the CPU time of each is read, and of the CGROUPS busiest of the last round all other
 * files, so each series is written once a round. Bounds: CGROUP_DIRS directories a hierarchy,
 * CGROUPS with series; what is beyond is counted in trimtab_lost_total{probe="cgroup"}. Cost:
 * 0.4 ms a round with ten cgroups; 11 ms with 300 in three hierarchies, 5 of it the walk.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cgroup_names.h"
#include "cgroup_walk.h"
#include "core/agent.h"
#include "host.h"
#include "probe_series.h"
#include "sense.h"

#define CGROUPS 64
#define ROUND_NS (10ULL * 1000000000)

struct group {
	char path[CGROUP_PATH_MAX]; /* below the mounts; not shortened: longer ones are left out */
	char container[CGROUP_CONTAINER_MAX];
	uint32_t hash;	      /* of the path */
	uint32_t hierarchies; /* those that have it: 1 << enum cgroup_hierarchy */
	bool inner;	      /* has children in one of them */
	bool chosen;
	bool seen;	     /* by the walk in progress */
	uint64_t sampled_ns; /* 0: never */
	double cpu_seconds;
	double cpu_ratio; /* of one CPU, over the last round */
};

struct cgroups {
	struct host_paths paths;
	struct cgroup_mounts mounts;
	uint64_t lost_dirs, lost_groups;
	unsigned n, at;	  /* groups; the next one to be sampled in this round */
	unsigned ticks;	  /* of this round */
	uint32_t walking; /* hierarchies that share the mount being walked */
	struct group group[CGROUP_DIRS];
};

/* in the order that reads each file once */
enum {
	CPU_SECONDS,
	THROTTLED_SECONDS,
	THROTTLED_PERIODS,
	PERIODS,
	MEMORY,
	MEMORY_LIMIT,
	OOM_KILLS,
	PIDS,
	FIGURES,
};

#define FIGURE(type_, name_, help_, source_)                                                       \
	{                                                                                          \
		name_, METRIC_##type_, "cgroup,container", help_, source_                          \
	}

static const struct metric metrics[FIGURES] METRIC = {
    [CPU_SECONDS] = FIGURE(COUNTER, "trimtab_cgroup_cpu_seconds_total",
			   "CPU time of the cgroup; of the 64 busiest, read every 10 s.",
			   "cpuacct.usage; cpu.stat"),
    [THROTTLED_SECONDS] =
	FIGURE(COUNTER, "trimtab_cgroup_cpu_throttled_seconds_total",
	       "Time that tasks were held back by the cgroup's CPU limit.", "cpu.stat"),
    [THROTTLED_PERIODS] = FIGURE(COUNTER, "trimtab_cgroup_cpu_throttled_periods_total",
				 "Periods in which the cgroup used up its CPU limit.", "cpu.stat"),
    [PERIODS] = FIGURE(COUNTER, "trimtab_cgroup_cpu_periods_total",
		       "Periods in which the cgroup ran under a CPU limit.", "cpu.stat"),
    [MEMORY] =
	FIGURE(GAUGE, "trimtab_cgroup_memory_bytes", "Memory of the cgroup, cached files included.",
	       "memory.usage_in_bytes; memory.current"),
    [MEMORY_LIMIT] = FIGURE(GAUGE, "trimtab_cgroup_memory_limit_bytes",
			    "Memory that the cgroup may have; absent if it has no limit.",
			    "memory.limit_in_bytes; memory.max"),
    [OOM_KILLS] = FIGURE(COUNTER, "trimtab_cgroup_oom_kills_total",
			 "Processes of the cgroup killed for want of memory.",
			 "memory.oom_control; memory.events"),
    [PIDS] = FIGURE(GAUGE, "trimtab_cgroup_pids", "Processes and threads of the cgroup.",
		    "pids.current"),
};

/* Where v1 and v2 have a figure. key: NULL for a file of one number. */
static const struct figure {
	enum cgroup_hierarchy v1;
	const char *v1_file, *v1_key;
	double v1_scale;
	const char *v2_file, *v2_key;
	double v2_scale;
} figures[FIGURES] = {
    [CPU_SECONDS] = {CGROUP_CPUACCT, "cpuacct.usage", NULL, 1e-9, "cpu.stat", "usage_usec", 1e-6},
    [THROTTLED_SECONDS] = {CGROUP_CPU, "cpu.stat", "throttled_time", 1e-9, "cpu.stat",
			   "throttled_usec", 1e-6},
    [THROTTLED_PERIODS] = {CGROUP_CPU, "cpu.stat", "nr_throttled", 1, "cpu.stat", "nr_throttled",
			   1},
    [PERIODS] = {CGROUP_CPU, "cpu.stat", "nr_periods", 1, "cpu.stat", "nr_periods", 1},
    [MEMORY] = {CGROUP_MEMORY, "memory.usage_in_bytes", NULL, 1, "memory.current", NULL, 1},
    [MEMORY_LIMIT] = {CGROUP_MEMORY, "memory.limit_in_bytes", NULL, 1, "memory.max", NULL, 1},
    [OOM_KILLS] = {CGROUP_MEMORY, "memory.oom_control", "oom_kill", 1, "memory.events", "oom_kill",
		   1},
    [PIDS] = {CGROUP_PIDS, "pids.current", NULL, 1, "pids.current", NULL, 1},
};

static const struct metric pressure_metric METRIC = {
    "trimtab_cgroup_pressure_seconds_total",
    METRIC_COUNTER,
    "cgroup,resource,kind,container",
    "Time in which some tasks of the cgroup, or all of them (full), waited for a resource.",
    "cgroup2: cpu.pressure, memory.pressure, io.pressure",
};

static const char *const resources[] = {"cpu", "memory", "io"};

/* v1 writes "no limit" as the largest number of whole pages */
#define NO_LIMIT ((double)(1ULL << 62))

static uint32_t hash_of(const char *path)
{
	uint32_t hash = 2166136261U;

	while (*path)
		hash = (hash ^ (unsigned char)*path++) * 16777619U;
	return hash;
}

static void see(void *argument, const struct cgroup_dir *dir)
{
	struct cgroups *c = argument;
	uint32_t hash = hash_of(dir->path);
	struct group *g = NULL;

	if (!dir->path[1])
		return; /* the root: the host's own figures say it all */
	for (unsigned i = 0; i < c->n && !g; i++)
		if (c->group[i].hash == hash && strcmp(c->group[i].path, dir->path) == 0)
			g = &c->group[i];
	if (!g) {
		if (c->n == CGROUP_DIRS || strlen(dir->path) >= CGROUP_PATH_MAX) {
			c->lost_dirs++;
			return;
		}
		g = &c->group[c->n++];
		*g = (struct group){.hash = hash};
		strcpy(g->path, dir->path);
		cgroup_names_container(g->path, g->container);
	}
	if (!g->seen) {
		g->seen = true;
		g->hierarchies = 0;
		g->inner = false;
	}
	g->hierarchies |= c->walking;
	g->inner = g->inner || !dir->leaf;
}

/* Walks each mount once: v1's cpu and cpuacct usually share theirs. */
static void walk(struct cgroups *c)
{
	uint32_t done = 0;
	unsigned kept = 0;

	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++) {
		if (!*c->mounts.at[i] || done & 1U << i)
			continue;
		c->walking = 0;
		for (size_t j = i; j < CGROUP_HIERARCHIES; j++)
			if (strcmp(c->mounts.at[i], c->mounts.at[j]) == 0)
				c->walking |= 1U << j;
		done |= c->walking;
		c->lost_dirs += cgroup_walk(c->mounts.at[i], CGROUP_DIRS, see, c);
	}
	for (unsigned i = 0; i < c->n; i++) {
		if (!c->group[i].seen)
			continue;
		c->group[i].seen = false;
		if (kept != i)
			c->group[kept] = c->group[i];
		kept++;
	}
	c->n = kept;
}

/* of two leaves alike, the one that has series keeps them */
static int by_use(const void *a, const void *b)
{
	const struct group *x = *(const struct group *const *)a,
			   *y = *(const struct group *const *)b;

	if (x->cpu_ratio != y->cpu_ratio)
		return x->cpu_ratio < y->cpu_ratio ? 1 : -1;
	if (x->chosen != y->chosen)
		return x->chosen ? -1 : 1;
	return strcmp(x->path, y->path);
}

static void choose(struct cgroups *c)
{
	struct group *leaves[CGROUP_DIRS];
	unsigned n = 0;

	for (unsigned i = 0; i < c->n; i++)
		if (!c->group[i].inner)
			leaves[n++] = &c->group[i];
		else
			c->group[i].chosen = false;
	qsort(leaves, n, sizeof(leaves[0]), by_use);
	for (unsigned i = 0; i < n; i++)
		leaves[i]->chosen = i < CGROUPS;
	c->lost_groups += n > CGROUPS ? n - CGROUPS : 0;
}

/* The file of a figure in the hierarchy that has it; false if none does. */
static bool file_of(const struct cgroups *c, const struct group *g, const struct figure *f,
		    char *ret_path, size_t size, bool *ret_v2)
{
	bool v1 = g->hierarchies & 1U << f->v1;
	enum cgroup_hierarchy hierarchy = v1 ? f->v1 : CGROUP_V2;

	if (!(g->hierarchies & 1U << hierarchy))
		return false;
	*ret_v2 = !v1;
	return snprintf(ret_path, size, "%s%s/%s", c->mounts.at[hierarchy], g->path,
			v1 ? f->v1_file : f->v2_file) < (int)size;
}

static bool find_value(struct host_text text, const char *key, double *ret)
{
	struct host_text line, word;

	if (!key)
		return host_text_line(&text, &line) && host_text_decimal(&line, ret);
	while (host_text_line(&text, &line))
		if (host_text_word(&line, &word) && host_text_is(word, key))
			return host_text_decimal(&line, ret);
	return false;
}

struct reader {
	char path[CGROUP_MOUNT_MAX + CGROUP_PATH_MAX + 32]; /* "": none was read */
	char buffer[4096];
	struct host_text text;
};

static bool read_figure(const struct cgroups *c, const struct group *g, const struct figure *f,
			struct reader *r, double *ret)
{
	char path[sizeof(r->path)];
	double value;
	bool v2;

	if (!file_of(c, g, f, path, sizeof(path), &v2))
		return false;
	if (strcmp(path, r->path) != 0) {
		strcpy(r->path, path);
		if (host_file_slurp(path, r->buffer, sizeof(r->buffer), &r->text) < 0)
			r->text = (struct host_text){0};
	}
	if (!find_value(r->text, v2 ? f->v2_key : f->v1_key, &value) || value >= NO_LIMIT)
		return false;
	*ret = value * (v2 ? f->v2_scale : f->v1_scale);
	return true;
}

static void set(struct store *store, const struct group *g, const struct metric *m, uint64_t now_ns,
		double value)
{
	store_set(store, m, now_ns, value, "cgroup", g->path, *g->container ? "container" : NULL,
		  g->container, NULL);
}

static void set_pressure(const struct cgroups *c, const struct group *g, struct store *store,
			 uint64_t now_ns, struct reader *r)
{
	struct host_text line, kind, total;
	uint64_t total_us;

	for (size_t i = 0; i < sizeof(resources) / sizeof(resources[0]); i++) {
		snprintf(r->path, sizeof(r->path), "%s%s/%s.pressure", c->mounts.at[CGROUP_V2],
			 g->path, resources[i]);
		if (host_file_slurp(r->path, r->buffer, sizeof(r->buffer), &r->text) < 0)
			continue;
		while (host_text_line(&r->text, &line)) {
			bool full = host_text_prefix(&line, "full ");

			if ((!full && !host_text_prefix(&line, "some ")) ||
			    !host_text_until(&line, '=', &kind))
				continue;
			while (host_text_word(&line, &total))
				if (host_text_prefix(&total, "total=") &&
				    host_text_u64(&total, &total_us))
					store_set(store, &pressure_metric, now_ns,
						  (double)total_us / 1e6, "cgroup", g->path,
						  "resource", resources[i], "kind",
						  full ? "full" : "some",
						  *g->container ? "container" : NULL, g->container,
						  NULL);
		}
	}
}

static void sample(const struct cgroups *c, struct group *g, struct store *store, uint64_t now_ns)
{
	struct reader r = {0};
	double value;

	if (read_figure(c, g, &figures[CPU_SECONDS], &r, &value)) {
		if (g->sampled_ns && now_ns > g->sampled_ns)
			g->cpu_ratio =
			    (value - g->cpu_seconds) * 1e9 / (double)(now_ns - g->sampled_ns);
		g->cpu_seconds = value;
		g->sampled_ns = now_ns;
	}
	if (!g->chosen)
		return;
	for (size_t i = 0; i < FIGURES; i++)
		if (read_figure(c, g, &figures[i], &r, &value))
			set(store, g, &metrics[i], now_ns, value);
	if (g->hierarchies & 1U << CGROUP_V2)
		set_pressure(c, g, store, now_ns, &r);
}

static void set_lost(struct store *store, uint64_t now_ns, const char *reason, uint64_t lost)
{
	if (lost)
		store_set(store, &lost_metric, now_ns, (double)lost, "probe", "cgroup", "reason",
			  reason, NULL);
}

static int init(struct agent *a, void **ret_state)
{
	char mountinfo[HOST_PATH_MAX];
	struct cgroups *c;
	int err;

	if (!a->config->host.enabled) {
		agent_reason(a, "host.enabled is false");
		return -ENOTSUP;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->paths = host_paths_of_environment();
	snprintf(mountinfo, sizeof(mountinfo), "%s/self/mountinfo", c->paths.proc);
	err = cgroup_walk_mounts(mountinfo, &c->mounts);
	if (err < 0) {
		agent_reason(a,
			     "no cgroup hierarchy in %s (%s); mount /sys/fs/cgroup to see cgroups",
			     mountinfo, strerror(-err));
		free(c);
		return -ENOTSUP;
	}
	*ret_state = c;
	return 0;
}

static int tick(struct agent *a, void *state, uint64_t now_ns)
{
	uint64_t period_ns = a->config->agent.period_ms * 1000000;
	unsigned ticks = period_ns && period_ns < ROUND_NS ? (unsigned)(ROUND_NS / period_ns) : 1;
	struct cgroups *c = state;
	unsigned share;

	if (c->ticks == 0) {
		walk(c);
		choose(c);
		c->at = 0;
	}
	share = (c->n + ticks - 1) / ticks;
	for (unsigned i = 0; i < share && c->at < c->n; i++, c->at++)
		if (!c->group[c->at].inner)
			sample(c, &c->group[c->at], a->store, now_ns);
	c->ticks = (c->ticks + 1) % ticks;
	set_lost(a->store, now_ns, "too_many_directories", c->lost_dirs);
	set_lost(a->store, now_ns, "too_many_cgroups", c->lost_groups);
	return 0;
}

static void fini(struct agent *a, void *state)
{
	free(state);
}

const struct module cgroup_module = {
    .name = "cgroup",
    .about = "CPU, memory, processes and pressure of the busiest cgroups",
    .roles = ROLE_AGENT,
    .period_ms = 2000,
    .init = init,
    .tick = tick,
    .fini = fini,
};
