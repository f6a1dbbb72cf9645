#include "probes_private.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include "maps.h"
#include "probe_adapt.h"

uint32_t probes_request_shards(uint32_t cpus)
{
	uint32_t shards = 1;

	while (shards < cpus && shards < REQUEST_SHARDS)
		shards *= 2;
	return shards;
}

/* The sizes that depend on the machine or the configuration; 0: as it is written. */
static uint32_t entries_of(const struct probes *p, const char *name)
{
	const struct {
		const char *name;
		uint32_t entries;
	} sizes[] = {
	    {"syscall_cpus", p->cpus},
	    {"sched_cpus", p->cpus},
	    {"cgroup_cpus", p->cpus},
	    {"request_cpus", p->cpus},
	    {"request_packet_works", p->cpus * REQUEST_PACKET_WORKS},
	    {"request_tls_works", p->cpus * REQUEST_TLS_WORKS},
	    {"request_tls_connections", p->config->request.connections / REQUEST_TLS_SHARE},
	    {"tcp_connections", p->config->tcp.connections},
	    {"request_service_counts", REQUEST_SERVICES * p->maps.request_shards},
	    {"request_operation_counts", REQUEST_OPERATIONS * p->maps.request_shards},
	    {"request_totals", p->maps.request_shards},
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		if (!strcmp(name, sizes[i].name))
			return sizes[i].entries;
	return 0;
}

/* What an object has for itself: its constants and variables, but for those in a named section. */
static bool is_own(const struct bpf_map *map)
{
	return bpf_map__is_internal(map) && strcmp(bpf_map__name(map), ".data.request") != 0;
}

int probes_adapt_maps(struct probes *p, struct bpf_object *o, struct btf *btf)
{
	struct bpf_map *map, *other;
	int err;

	bpf_object__for_each_map (map, o) {
		const char *name = bpf_map__name(map);

		if (entries_of(p, name))
			bpf_map__set_max_entries(map, entries_of(p, name));
		if (bpf_map__type(map) == BPF_MAP_TYPE_HASH && probe_hashes_allocate_safely(btf))
			bpf_map__set_map_flags(map, BPF_F_NO_PREALLOC);
		for (int i = 0; i < PROBES; i++) {
			if (!p->probe[i].loaded || is_own(map))
				continue;
			other = bpf_object__find_map_by_name(p->probe[i].object, name);
			if (!other)
				continue;
			err = bpf_map__reuse_fd(map, bpf_map__fd(other));
			if (err)
				return err;
			break;
		}
	}
	return 0;
}

static uint64_t map_bytes(int fd)
{
	char path[64], line[128];
	unsigned long long bytes = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %llu", &bytes) == 1)
			break;
	fclose(f);
	return bytes;
}

void probes_list_maps(struct probes *p, int index)
{
	struct shared *s = p->shared;
	struct bpf_map *map;

	bpf_object__for_each_map (map, p->probe[index].object) {
		const char *name = bpf_map__name(map);
		uint32_t i;

		for (i = 0; i < SHARED_MAPS && i < s->maps_n; i++)
			if (!strcmp(s->map[i].name, name))
				break;
		if (i < s->maps_n || i >= SHARED_MAPS || bpf_map__fd(map) < 0)
			continue; /* shared with an earlier object */
		snprintf(s->map[i].name, sizeof(s->map[i].name), "%s", name);
		s->map[i].probe = index;
		s->map[i].bytes = map_bytes(bpf_map__fd(map));
		s->maps_n++;
	}
}

void probes_note_bytes(struct probes *p, const char *name, uint64_t bytes)
{
	for (uint32_t i = 0; i < p->shared->maps_n; i++)
		if (!strcmp(p->shared->map[i].name, name))
			p->shared->map[i].bytes = bytes;
}

static void *map_array(struct probes *p, int index, const char *name, size_t bytes, int protection)
{
	struct bpf_map *map = bpf_object__find_map_by_name(p->probe[index].object, name);
	void *mem;

	if (!map)
		return NULL;
	mem = mmap(NULL, bytes, protection, MAP_SHARED, bpf_map__fd(map), 0);
	return mem == MAP_FAILED ? NULL : mem;
}

/* The first loaded object that has a map of this name; -1: none. */
static int object_of_map(const struct probes *p, const char *name)
{
	for (int i = 0; i < PROBES; i++)
		if (p->probe[i].loaded && bpf_object__find_map_by_name(p->probe[i].object, name))
			return i;
	return -1;
}

void *probes_map(struct probes *p, const char *name, size_t bytes)
{
	int i = object_of_map(p, name);

	return i < 0 ? NULL : map_array(p, i, name, bytes, PROT_READ | PROT_WRITE);
}

void probes_unmap(void *array, size_t bytes)
{
	munmap(array, bytes);
}

int probes_map_fd(const struct probes *p, const char *name)
{
	int i = object_of_map(p, name);

	return i < 0 ? -1 : bpf_map__fd(bpf_object__find_map_by_name(p->probe[i].object, name));
}

void probes_map_own(struct probes *p)
{
	if (p->probe[TCP].loaded)
		p->maps.tcp_totals = map_array(p, TCP, "tcp_totals", sizeof(struct tcp_totals),
					       PROT_READ | PROT_WRITE);
}

static void map_requests(struct probes *p, struct probe_maps *m)
{
	uint32_t n = m->request_shards;

	if (!p->probe[REQUEST].loaded)
		return;
	m->request_services =
	    map_array(p, REQUEST, "request_services",
		      REQUEST_SERVICES * sizeof(struct request_service), PROT_READ | PROT_WRITE);
	m->request_operations = map_array(p, REQUEST, "request_operations",
					  REQUEST_OPERATIONS * sizeof(struct request_operation),
					  PROT_READ | PROT_WRITE);
	m->request_service_counts =
	    map_array(p, REQUEST, "request_service_counts",
		      n * REQUEST_SERVICES * sizeof(struct request_service_counts), PROT_READ);
	m->request_operation_counts =
	    map_array(p, REQUEST, "request_operation_counts",
		      n * REQUEST_OPERATIONS * sizeof(struct request_operation_counts), PROT_READ);
	m->request_totals =
	    map_array(p, REQUEST, "request_totals", n * sizeof(struct request_totals), PROT_READ);
}

const struct probe_maps *probes_map_all(struct probes *p)
{
	struct probe_maps *m = &p->maps;

	map_requests(p, m);
	m->request_slow_fd = probes_map_fd(p, "request_slow");
	m->request_statements_fd = probes_map_fd(p, "request_statements");

	m->cgroup_cpus = probes_map(p, "cgroup_cpus", p->cpus * sizeof(struct cgroup_cpu));
	m->cgroup_ids_fd = probes_map_fd(p, "cgroup_ids");
	m->cgroup_misses_fd = probes_map_fd(p, "cgroup_misses");

	if (p->probe[SCHED].loaded)
		m->sched_cpus = map_array(p, SCHED, "sched_cpus",
					  p->cpus * sizeof(struct sched_cpu), PROT_READ);
	if (p->probe[SYSCALL].loaded)
		m->syscall_cpus = map_array(p, SYSCALL, "syscall_cpus",
					    p->cpus * sizeof(struct syscall_cpu), PROT_READ);
	if (p->probe[DISK].loaded)
		m->disk_devices = map_array(p, DISK, "disk_devices",
					    DISK_DEVICES * sizeof(struct disk_device), PROT_READ);
	if (p->probe[TCP].loaded)
		m->tcp_ports =
		    map_array(p, TCP, "tcp_ports", TCP_PORTS * sizeof(struct tcp_port), PROT_READ);
	if (m->tcp_totals) /* its sweep counters are the keeper's to write */
		mprotect(m->tcp_totals, sizeof(struct tcp_totals), PROT_READ);
	return m;
}

const struct probe_maps *probes_maps(const struct probes *p)
{
	return &p->maps;
}

int probes_any_map_fd(const struct probes *p)
{
	for (int i = 0; i < PROBES; i++)
		if (p->probe[i].loaded)
			return bpf_map__fd(bpf_object__next_map(p->probe[i].object, NULL));
	return -1;
}
