#include "probes.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "log.h"
#include "maps.h"
#include "probe_reason.h"
/* the skeletons need maps.h */
#include "disk.skel.h"
#include "sched.skel.h"
#include "syscall.skel.h"
#include "tcp.skel.h"

#define PROGRAMS_MAX 16

enum { SCHED, SYSCALL, DISK, TCP, PROBES };

struct program {
	struct bpf_program *bpf;
	struct bpf_link *link;
	uint32_t shared; /* index in shared->prog */
	bool always;	 /* attached for as long as the probe is on */
};

struct probe {
	struct bpf_object_skeleton *skeleton;
	struct bpf_object *object;
	struct program program[PROGRAMS_MAX];
	size_t programs_n;
	bool loaded;
};

struct probes {
	struct shared *shared;
	struct probe probe[PROBES];
	struct probe_maps maps;
	struct syscall_bpf *syscall;
	struct sched_bpf *sched;
	struct disk_bpf *disk;
	struct tcp_bpf *tcp;
	uint32_t cpus;
	uint32_t connections;
};

/* Programs that are attached only while something wants them. */
static const char *const on_demand[] = {"syscall_enter", "syscall_exit", "tcp_sweep"};

/* Two programs for one hook: `name` is loaded if the hook has `args` arguments or more, `old` else.
 */
static const struct {
	const char *hook, *name, *old;
	int args;
} variants[] = {
    {"block_rq_issue", NULL, "disk_issue", 2},
    {"block_rq_issue", "disk_issue_old", NULL, 2},
    {"kfree_skb", "tcp_drop", "tcp_drop_old", 3},
};

static const char *const probe_names[PROBES] = {
    [SCHED] = "sched", [SYSCALL] = "syscall", [DISK] = "disk", [TCP] = "tcp"};

/* The number of arguments of a raw tracepoint, by the kernel's BTF; -1 if it has no such hook. */
static int hook_args(struct btf *btf, const char *hook)
{
	const struct btf_type *t;
	char name[80];
	int id;

	snprintf(name, sizeof(name), "btf_trace_%s", hook);
	id = btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF);
	if (id < 0)
		return -1;
	t = btf__type_by_id(btf, btf__type_by_id(btf, id)->type); /* typedef -> pointer */
	t = btf__type_by_id(btf, t->type);			  /* pointer -> function */
	return btf_is_func_proto(t) ? btf_vlen(t) - 1 : -1;	  /* the first is the hook's own */
}

/* The kernel's names of why a packet is dropped: SKB_DROP_REASON_NO_SOCKET is "no_socket". */
static void name_drop_reasons(struct shared *s, struct btf *btf)
{
	const size_t prefix = strlen("SKB_DROP_REASON_");
	const struct btf_type *t;
	int id = btf__find_by_name_kind(btf, "skb_drop_reason", BTF_KIND_ENUM);

	for (int i = 0; i < SHARED_DROP_REASONS; i++)
		snprintf(s->drop_reason[i], sizeof(s->drop_reason[i]),
			 id < 0 ? "unknown" : "reason_%d", i);
	snprintf(s->drop_reason[SHARED_DROP_REASONS - 1], sizeof(s->drop_reason[0]), "other");
	if (id < 0)
		return;
	t = btf__type_by_id(btf, id);
	for (int i = 0; i < btf_vlen(t); i++) {
		const struct btf_enum *e = &btf_enum(t)[i];
		const char *name = btf__name_by_offset(btf, e->name_off);
		char *out;

		if (e->val < 0 || e->val >= SHARED_DROP_REASONS - 1 || strlen(name) <= prefix)
			continue;
		out = s->drop_reason[e->val];
		snprintf(out, sizeof(s->drop_reason[0]), "%s", name + prefix);
		for (; *out; out++)
			*out = tolower((unsigned char)*out);
	}
}

static void set_autoload(struct bpf_object *o, const char *name, bool load)
{
	struct bpf_program *p = name ? bpf_object__find_program_by_name(o, name) : NULL;

	if (p)
		bpf_program__set_autoload(p, load);
}

/* Leaves out what this kernel has no hook for. */
static void adapt_programs(struct bpf_object *o, struct btf *btf)
{
	struct bpf_program *p;
	const char *section;

	bpf_object__for_each_program (p, o) {
		section = bpf_program__section_name(p);
		if (!strncmp(section, "tp_btf/", 7) && hook_args(btf, section + 7) < 0)
			bpf_program__set_autoload(p, false);
	}
	for (size_t i = 0; i < sizeof(variants) / sizeof(*variants); i++) {
		bool recent = hook_args(btf, variants[i].hook) >= variants[i].args;

		set_autoload(o, variants[i].name, recent);
		set_autoload(o, variants[i].old, !recent);
	}
}

/* Whether the kernel's hashes allocate from a pool of their own (6.1). Before that, an entry
 * allocated in a tracing program may take the page allocator's locks where they are held:
 * preallocate. */
static bool hashes_allocate_safely(struct btf *btf)
{
	return btf__find_by_name_kind(btf, "bpf_mem_alloc", BTF_KIND_STRUCT) >= 0;
}

/* Sizes the maps, and shares those that an earlier object has under the same name. */
static int adapt_maps(struct probes *p, struct bpf_object *o, struct btf *btf)
{
	struct bpf_map *map, *other;
	int err;

	bpf_object__for_each_map (map, o) {
		const char *name = bpf_map__name(map);

		if (!strcmp(name, "syscall_cpus") || !strcmp(name, "sched_cpus") ||
		    !strcmp(name, "cgroup_cpus"))
			bpf_map__set_max_entries(map, p->cpus);
		if (bpf_map__type(map) == BPF_MAP_TYPE_HASH && hashes_allocate_safely(btf))
			bpf_map__set_map_flags(map, BPF_F_NO_PREALLOC);
		if (!strcmp(name, "tcp_connections"))
			bpf_map__set_max_entries(map, p->connections);
		for (int i = 0; i < PROBES; i++) {
			if (!p->probe[i].loaded || bpf_map__is_internal(map))
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

static void list_maps(struct probes *p, int index)
{
	struct shared *s = p->shared;
	struct bpf_map *map;

	bpf_object__for_each_map (map, p->probe[index].object) {
		const char *name = bpf_map__name(map);
		uint32_t i;

		for (i = 0; i < s->maps_n && strcmp(s->map[i].name, name) != 0; i++)
			;
		if (i < s->maps_n || i >= SHARED_MAPS || bpf_map__fd(map) < 0)
			continue; /* shared with an earlier object */
		snprintf(s->map[i].name, sizeof(s->map[i].name), "%s", name);
		s->map[i].probe = index;
		s->map[i].bytes = map_bytes(bpf_map__fd(map));
		s->maps_n++;
	}
}

static bool is_on_demand(const char *name)
{
	for (size_t i = 0; i < sizeof(on_demand) / sizeof(*on_demand); i++)
		if (!strcmp(on_demand[i], name))
			return true;
	return false;
}

static void list_programs(struct probes *p, int index)
{
	struct probe *probe = &p->probe[index];
	struct shared *s = p->shared;
	struct bpf_program *bpf;

	bpf_object__for_each_program (bpf, probe->object) {
		struct program *prog = &probe->program[probe->programs_n];

		if (bpf_program__fd(bpf) < 0 || probe->programs_n == PROGRAMS_MAX ||
		    s->progs_n == SHARED_PROGS)
			continue;
		prog->bpf = bpf;
		prog->shared = s->progs_n++;
		prog->always = !is_on_demand(bpf_program__name(bpf));
		snprintf(s->prog[prog->shared].name, sizeof(s->prog[prog->shared].name), "%s",
			 bpf_program__name(bpf));
		s->prog[prog->shared].probe = index;
		probe->programs_n++;
	}
}

static int attach(struct probes *p, struct program *prog, bool on)
{
	if (!on) {
		bpf_link__destroy(prog->link);
		prog->link = NULL;
	} else if (!prog->link) {
		prog->link = bpf_program__attach(prog->bpf);
		if (!prog->link)
			return -errno;
	}
	p->shared->prog[prog->shared].attached = on;
	return 0;
}

static int attach_always(struct probes *p, struct probe *probe, bool on)
{
	int err = 0;

	for (size_t i = 0; i < probe->programs_n && !err; i++)
		if (probe->program[i].always)
			err = attach(p, &probe->program[i], on);
	return err;
}

static void detach_all(struct probes *p, struct probe *probe)
{
	for (size_t i = 0; i < probe->programs_n; i++)
		attach(p, &probe->program[i], false);
}

static void say(struct probes *p, int index, enum probe_phase phase, const char *reason)
{
	struct shared_probe *s = &p->shared->probe[index];

	snprintf(s->reason, sizeof(s->reason), "%s", reason);
	s->phase = phase;
}

static int load_one(struct probes *p, int index, struct btf *btf)
{
	struct probe *probe = &p->probe[index];
	int err;

	probe->object = *probe->skeleton->obj;
	adapt_programs(probe->object, btf);
	err = adapt_maps(p, probe->object, btf);
	if (!err)
		err = bpf_object__load_skeleton(probe->skeleton);
	if (err)
		return err;
	list_programs(p, index);
	list_maps(p, index);
	probe->loaded = true;
	err = attach_always(p, probe, true);
	if (err)
		detach_all(p, probe);
	return err;
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

/* What the keeper itself needs. */
static void map_own(struct probes *p)
{
	if (p->probe[TCP].loaded)
		p->maps.tcp_totals = map_array(p, TCP, "tcp_totals", sizeof(struct tcp_totals),
					       PROT_READ | PROT_WRITE);
}

const struct probe_maps *probes_map_all(struct probes *p)
{
	struct probe_maps *m = &p->maps;

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

bool probes_loaded(const struct probes *p, const char *probe)
{
	for (int i = 0; i < PROBES; i++)
		if (!strcmp(probe_names[i], probe))
			return p->probe[i].loaded;
	return false;
}

static int open_skeletons(struct probes *p)
{
	p->sched = sched_bpf__open();
	p->syscall = syscall_bpf__open();
	p->disk = disk_bpf__open();
	p->tcp = tcp_bpf__open();
	if (!p->sched || !p->syscall || !p->disk || !p->tcp)
		return -errno;
	p->probe[SCHED].skeleton = p->sched->skeleton;
	p->probe[SYSCALL].skeleton = p->syscall->skeleton;
	p->probe[DISK].skeleton = p->disk->skeleton;
	p->probe[TCP].skeleton = p->tcp->skeleton;
	return 0;
}

/* Loads one probe and says what came of it. */
static void load_and_say(struct probes *p, int i, struct btf *btf)
{
	char reason[SHARED_REASON_MAX];
	int err;

	probe_reason_begin();
	err = load_one(p, i, btf);
	if (err) {
		probe_reason(err, reason, sizeof(reason));
		say(p, i, PROBE_FAILED, reason);
	} else {
		say(p, i, PROBE_ATTACHED, "");
	}
}

/* One line for all that failed for the same reason. */
static void log_failures(const struct shared *s)
{
	char names[PROBES * 12];
	uint32_t said = 0;

	for (int i = 0; i < PROBES; i++) {
		size_t used = 0;

		for (int j = i; j < PROBES; j++) {
			if (s->probe[j].phase != PROBE_FAILED || said & 1 << j ||
			    strcmp(s->probe[i].reason, s->probe[j].reason) != 0)
				continue;
			said |= 1 << j;
			used += snprintf(names + used, sizeof(names) - used, "%s%s",
					 used ? ", " : "", probe_names[j]);
		}
		if (used)
			log_warn("keeper", "without the probes %s: %s", names, s->probe[i].reason);
	}
}

int probes_load(const struct config *config, struct shared *s, struct probes **ret)
{
	const bool enabled[PROBES] = {[SCHED] = config->sched.enabled,
				      [SYSCALL] = config->syscall.enabled,
				      [DISK] = config->disk.enabled,
				      [TCP] = config->tcp.enabled};
	struct probes *p = calloc(1, sizeof(*p));
	struct btf *btf = NULL;
	int err = -ENOMEM;

	if (!p)
		return -ENOMEM;
	p->shared = s;
	p->cpus = s->cpus;
	p->connections = config->tcp.connections;
	s->probes_n = PROBES;
	for (int i = 0; i < PROBES; i++) {
		snprintf(s->probe[i].name, sizeof(s->probe[i].name), "%s", probe_names[i]);
		say(p, i, PROBE_OFF, enabled[i] ? "" : "switched off by configuration");
	}
	libbpf_set_print(probe_reason_print);
	err = open_skeletons(p);
	if (err)
		goto out;
	btf = btf__load_vmlinux_btf();
	if (!btf)
		snprintf(s->btf, sizeof(s->btf),
			 "no BTF in this kernel (/sys/kernel/btf/vmlinux): %s; it needs "
			 "CONFIG_DEBUG_INFO_BTF=y",
			 strerror(errno));
	if (btf)
		name_drop_reasons(s, btf);
	for (int i = 0; i < PROBES; i++) {
		if (enabled[i] && btf)
			load_and_say(p, i, btf);
		else if (enabled[i])
			say(p, i, PROBE_FAILED, s->btf);
	}
	log_failures(s);
	map_own(p);
	btf__free(btf);
	*ret = p;
	return 0;
out:
	probes_free(p);
	return err;
}

void probes_free(struct probes *p)
{
	if (!p)
		return;
	for (int i = 0; i < PROBES; i++)
		detach_all(p, &p->probe[i]);
	sched_bpf__destroy(p->sched);
	syscall_bpf__destroy(p->syscall);
	disk_bpf__destroy(p->disk);
	tcp_bpf__destroy(p->tcp);
	free(p);
}

void probes_forget(struct probes *p)
{
	for (int i = 0; i < PROBES; i++) {
		for (size_t j = 0; j < p->probe[i].programs_n; j++) {
			struct program *prog = &p->probe[i].program[j];

			if (prog->link)
				close(bpf_link__fd(prog->link));
			close(bpf_program__fd(prog->bpf));
		}
	}
}

const struct probe_maps *probes_maps(const struct probes *p)
{
	return &p->maps;
}

static struct program *find_program(struct probes *p, const char *name)
{
	for (int i = 0; i < PROBES; i++)
		for (size_t j = 0; j < p->probe[i].programs_n; j++)
			if (!strcmp(bpf_program__name(p->probe[i].program[j].bpf), name))
				return &p->probe[i].program[j];
	return NULL;
}

int probes_attach(struct probes *p, const char *program, bool on)
{
	struct program *prog = find_program(p, program);

	return prog ? attach(p, prog, on) : -ENOENT;
}

int probes_shed(struct probes *p, const char *probe, bool shed, const char *why)
{
	for (int i = 0; i < PROBES; i++) {
		if (strcmp(probe_names[i], probe) != 0 || !p->probe[i].loaded)
			continue;
		say(p, i, shed ? PROBE_SHED : PROBE_ATTACHED, shed ? why : "");
		return attach_always(p, &p->probe[i], !shed);
	}
	return -ENOENT;
}

void probes_open_window(struct probes *p, uint64_t since_ns)
{
	if (p->probe[SYSCALL].loaded)
		__atomic_store_n(&p->syscall->bss->syscall_control.open_since_ns, since_ns,
				 __ATOMIC_SEQ_CST);
}

int probes_sweep_tcp(struct probes *p)
{
	struct program *prog = find_program(p, "tcp_sweep");
	char discard[256];
	int fd, err;
	ssize_t n;

	if (!prog)
		return -ENOENT;
	err = attach(p, prog, true);
	if (err)
		return err;
	fd = bpf_iter_create(bpf_link__fd(prog->link));
	if (fd < 0)
		return -errno;
	do
		n = read(fd, discard, sizeof(discard));
	while (n > 0 || (n < 0 && errno == EAGAIN));
	err = n < 0 ? -errno : 0;
	close(fd);
	return err;
}

void probes_first_sweep_done(struct probes *p)
{
	if (p->probe[TCP].loaded)
		p->tcp->data->tcp_first_sweep = 0;
}

int probes_runs(struct probes *p, struct probe_run *ret, uint32_t n)
{
	for (int i = 0; i < PROBES; i++) {
		for (size_t j = 0; j < p->probe[i].programs_n; j++) {
			struct program *prog = &p->probe[i].program[j];
			struct bpf_prog_info info = {};
			uint32_t size = sizeof(info);

			if (prog->shared >= n)
				continue;
			if (bpf_obj_get_info_by_fd(bpf_program__fd(prog->bpf), &info, &size))
				return -errno;
			ret[prog->shared] = (struct probe_run){.run_ns = info.run_time_ns,
							       .runs = info.run_cnt,
							       .missed = info.recursion_misses};
		}
	}
	return 0;
}

int probes_any_map_fd(const struct probes *p)
{
	for (int i = 0; i < PROBES; i++)
		if (p->probe[i].loaded)
			return bpf_map__fd(bpf_object__next_map(p->probe[i].object, NULL));
	return -1;
}
