/* request_fixture.h - the arrays of the request probe in memory, an agent that reads them, and a
 * false cgroup hierarchy and /var/log. The clock is a number.
 */
#ifndef TRIMTAB_REQUEST_FIXTURE_H
#define TRIMTAB_REQUEST_FIXTURE_H

#include "core/agent.h"
#include "core/probes.h"
#include "host_fixture.h"
#include "sense/request_private.h"
#include "sense/sense.h"
#include "store/quantile.h"

#define SHARDS 3
#define START (1000 * SECOND)
#define PERIOD (2 * SECOND)

struct requests {
	struct fixture f;
	struct config config;
	struct shared shared;
	struct probe_maps maps;
	struct request_service service[REQUEST_SERVICES];
	struct request_operation operation[REQUEST_OPERATIONS];
	struct request_service_counts service_counts[REQUEST_SERVICES * SHARDS];
	struct request_operation_counts operation_counts[REQUEST_OPERATIONS * SHARDS];
	struct request_totals totals[SHARDS];
	struct agent agent;
	void *memory; /* of the store */
	uint64_t now_ns;
};

/* mounted: the hierarchy is at ROOT/cg */
static inline struct requests *requests_new(void)
{
	struct requests *r = calloc(1, sizeof(*r));
	size_t bytes = (store_size(FIXTURE_SERIES, 1024) + 63) / 64 * 64;
	char text[256];

	fixture_new(&r->f);
	snprintf(text, sizeof(text), "30 1 0:30 / %s/cg rw - cgroup2 cgroup rw\n", r->f.root);
	fixture_write(&r->f, "proc/self/mountinfo", text);
	fixture_write(&r->f, "cg/cgroup.procs", "");
	assert_int_equal(setenv("HOST_PROC", r->f.proc, 1), 0);
	assert_int_equal(setenv("HOST_ROOT", r->f.root, 1), 0);
	r->memory = aligned_alloc(64, bytes);
	assert_non_null(r->memory);
	memset(r->memory, 0, bytes);
	r->maps = (struct probe_maps){.request_services = r->service,
				      .request_operations = r->operation,
				      .request_service_counts = r->service_counts,
				      .request_operation_counts = r->operation_counts,
				      .request_totals = r->totals,
				      .request_shards = SHARDS,
				      .request_slow_fd = -1,
				      .request_statements_fd = -1};
	r->config.request.enabled = true;
	r->config.agent.period_ms = PERIOD / 1000000;
	r->agent = (struct agent){.config = &r->config,
				  .shared = &r->shared,
				  .maps = &r->maps,
				  .store = store_open(r->memory, bytes, FIXTURE_SERIES, 1024),
				  .slots_n = 1};
	assert_non_null(r->agent.store);
	r->agent.slots[0].module = &request_module;
	r->now_ns = START;
	return r;
}

static inline int requests_init(struct requests *r)
{
	struct module_slot *slot = &r->agent.slots[0];
	int err;

	r->agent.current = slot;
	err = request_module.init(&r->agent, &slot->state);
	r->agent.current = NULL;
	slot->phase = err ? MODULE_OFF : MODULE_RUNNING;
	return err;
}

static inline void requests_fini(struct requests *r)
{
	struct module_slot *slot = &r->agent.slots[0];

	request_module.fini(&r->agent, slot->state);
	slot->state = NULL;
	slot->phase = MODULE_OFF;
}

static inline void requests_free(struct requests *r)
{
	requests_fini(r);
	unsetenv("HOST_PROC");
	unsetenv("HOST_ROOT");
	fixture_free(&r->f);
	free(r->memory);
	free(r);
}

static inline struct request_source *requests_source(struct requests *r)
{
	struct request_source *s = request_source(&r->agent);

	assert_non_null(s);
	return s;
}

/* One tick, a period after the last one. */
static inline void requests_tick(struct requests *r)
{
	r->now_ns += PERIOD;
	assert_int_equal(request_module.tick(&r->agent, r->agent.slots[0].state, r->now_ns), 0);
}

/* Makes a cgroup below the mount, "/system.slice/redis.service"; returns its id. */
static inline uint64_t requests_cgroup(struct requests *r, const char *path)
{
	char full[300];
	struct stat st;

	snprintf(full, sizeof(full), "cg%s/cgroup.procs", path);
	fixture_write(&r->f, full, "");
	snprintf(full, sizeof(full), "%s/cg%s", r->f.root, path);
	assert_int_equal(stat(full, &st), 0);
	return st.st_ino;
}

static inline void requests_rmdir(struct requests *r, const char *path)
{
	char full[300];

	snprintf(full, sizeof(full), "%s/cg%s/cgroup.procs", r->f.root, path);
	assert_int_equal(unlink(full), 0);
	snprintf(full, sizeof(full), "%s/cg%s", r->f.root, path);
	assert_int_equal(rmdir(full), 0);
}

/* Leases slots, as the programs do. */
static inline void requests_service(struct requests *r, uint32_t slot, uint64_t cgroup,
				    uint16_t port, enum request_protocol protocol,
				    enum tcp_direction direction)
{
	snprintf(r->service[slot].comm, sizeof(r->service[slot].comm), "comm%u", slot);
	r->service[slot].key = (struct request_key){
	    .cgroup = cgroup, .port = port, .protocol = protocol, .direction = direction};
}

static inline void requests_operation(struct requests *r, uint32_t slot, uint32_t service,
				      const char *name)
{
	r->operation[slot].service = service;
	snprintf(r->operation[slot].name, sizeof(r->operation[slot].name), "%s", name);
	r->operation[slot].used = 1;
}

/* n requests of `ns` each, counted on one CPU. */
static inline void requests_count(struct requests *r, uint32_t operation, uint32_t shard,
				  uint64_t n, uint64_t ns, enum request_outcome outcome)
{
	struct request_operation_counts *c = &r->operation_counts[operation * SHARDS + shard];

	c->duration.count[hist_slot(ns)] += n;
	c->duration.sum_ns += n * ns;
	c->outcome[outcome] += n;
}

static inline void requests_add(struct hist *h, uint64_t n, uint64_t ns)
{
	h->count[hist_slot(ns)] += n;
	h->sum_ns += n * ns;
}

static inline struct request_service_counts *requests_of(struct requests *r, uint32_t service,
							 uint32_t shard)
{
	return &r->service_counts[service * SHARDS + shard];
}

/* Takes a slot back and adds its counts to those of "other", as the keeper does. */
static inline void requests_fold(uint64_t *from, uint64_t *other, size_t words)
{
	for (size_t i = 0; i < words; i++) {
		other[i] += from[i];
		from[i] = 0;
	}
}

static inline void requests_take_back(struct requests *r, uint32_t service, uint32_t operation)
{
	uint32_t other = request_other_of(&r->service[service].key);

	requests_fold((uint64_t *)requests_of(r, service, 0), (uint64_t *)requests_of(r, other, 0),
		      SHARDS * sizeof(struct request_service_counts) / 8);
	requests_fold((uint64_t *)&r->operation_counts[operation * SHARDS],
		      (uint64_t *)&r->operation_counts[other * SHARDS],
		      SHARDS * sizeof(struct request_operation_counts) / 8);
	r->shared.service_heir[service] = r->shared.operation_heir[operation] = other;
	memset(&r->service[service].key, 0, sizeof(r->service[service].key));
	memset(&r->operation[operation], 0, sizeof(r->operation[operation]));
}

/* cmocka's own takes NAN for any number */
#define assert_near(value, want, error) assert_true(fabs((value) - (want)) <= (error))

/* --- what is in the store; NAN or NULL: there is no such series */

static inline double requests_value(struct requests *r, const char *name, const char *labels)
{
	const struct series *x = store_find(r->agent.store, r->now_ns, name, labels);

	return x ? x->value : NAN;
}

static inline const struct hist *requests_hist(struct requests *r, const char *name,
					       const char *labels)
{
	const struct series *x = store_find(r->agent.store, r->now_ns, name, labels);

	return x ? store_series_hist(r->agent.store, x) : NULL;
}

/* The sum of all series of a metric, and how many there are. */
static inline double requests_sum(struct requests *r, const char *name, unsigned *ret_n)
{
	const struct series *x;
	size_t cursor = 0;
	double sum = 0;
	unsigned n = 0;

	while ((x = store_next(r->agent.store, r->now_ns, &cursor))) {
		if (strcmp(x->metric->name, name) != 0)
			continue;
		sum += x->metric->type == METRIC_HISTOGRAM
			   ? (double)hist_samples(store_series_hist(r->agent.store, x))
			   : x->value;
		n++;
	}
	if (ret_n)
		*ret_n = n;
	return sum;
}

#endif
