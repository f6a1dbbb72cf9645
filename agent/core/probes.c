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
#include "probe_adapt.h"
#include "probes_private.h"
#include "probe_reason.h"
/* the skeletons need maps.h */
#include "disk.skel.h"
#include "sched.skel.h"
#include "syscall.skel.h"
#include "tcp.skel.h"

/* Programs that are attached only while something wants them. */
static const char *const on_demand[] = {"syscall_enter",      "syscall_exit",
					"tcp_sweep",	      "request_connections_seen",
					"request_tls_forked", "request_tls_ended",
					"request_tls_seen"};

static const char *const probe_names[PROBES] = {
    [SCHED] = "sched", [SYSCALL] = "syscall", [DISK] = "disk",
    [TCP] = "tcp",     [REQUEST] = "request", [TLS] = "tls"};

/* Uprobes are attached to processes: see request_tls_events.h. */
static bool is_on_demand(const struct bpf_program *bpf)
{
	for (size_t i = 0; i < sizeof(on_demand) / sizeof(*on_demand); i++)
		if (!strcmp(on_demand[i], bpf_program__name(bpf)))
			return true;
	return bpf_program__type(bpf) == BPF_PROG_TYPE_KPROBE;
}

static void list_programs(struct probes *p, int index)
{
	struct probe *probe = &p->probe[index];
	struct shared *s = p->shared;
	struct bpf_program *bpf;

	bpf_object__for_each_program (bpf, probe->object) {
		struct program *prog = &probe->program[probe->programs_n];

		if (bpf_program__fd(bpf) < 0 || probe->programs_n == PROGRAMS_MAX ||
		    s->progs_n >= SHARED_PROGS)
			continue;
		prog->bpf = bpf;
		prog->shared = s->progs_n++;
		prog->always = !is_on_demand(bpf);
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
		prog->link = bpf_program__type(prog->bpf) == BPF_PROG_TYPE_CGROUP_SKB
				 ? probes_attach_to_root(prog->bpf)
				 : bpf_program__attach(prog->bpf);
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

static int load_object(struct probes *p, int index, struct btf *btf)
{
	struct probe *probe = &p->probe[index];
	int err;

	probe->object = *probe->skeleton->obj;
	probe_adapt_programs(probe->object, btf);
	err = probes_adapt_maps(p, probe->object, btf);
	return err ? err : bpf_object__load_skeleton(probe->skeleton);
}

/* Loads one way of seeing requests. */
static int load_way(struct probes *p, struct btf *btf, bool packet)
{
	int err = probes_open_request(p, packet);

	if (!err)
		err = load_object(p, REQUEST, btf);
	if (!err)
		snprintf(p->shared->request_way, sizeof(p->shared->request_way), "%s",
			 packet ? "packet" : "socket");
	return err;
}

/* In the calls on sockets, if the kernel has the hooks for it and takes the programs; else in the
 * packets. */
static int load_request(struct probes *p, struct btf *btf)
{
	int way = p->config->request.way;
	bool packet = way == REQUEST_WAY_PACKET ||
		      (way == REQUEST_WAY_AUTO && !probe_has_hook(btf, "sock_recv_length"));
	int err = load_way(p, btf, packet);

	if (!err || packet || way != REQUEST_WAY_AUTO)
		return err;
	log_warn("keeper", "requests are looked for in packets: those in calls cannot be seen: %s",
		 strerror(-err));
	probes_free_request(p);
	return load_way(p, btf, true);
}

static int load_one(struct probes *p, int index, struct btf *btf)
{
	struct probe *probe = &p->probe[index];
	int err = index == TLS ? probes_open_tls(p) : 0;

	if (!err)
		err = index == REQUEST ? load_request(p, btf) : load_object(p, index, btf);
	if (err)
		return err;
	list_programs(p, index);
	probes_list_maps(p, index);
	probe->loaded = true;
	err = attach_always(p, probe, true);
	if (err)
		detach_all(p, probe);
	return err;
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
				      [TCP] = config->tcp.enabled,
				      [REQUEST] = config->request.enabled};
	struct probes *p = calloc(1, sizeof(*p));
	struct btf *btf = NULL;
	int err = -ENOMEM;

	if (!p)
		return -ENOMEM;
	p->shared = s;
	p->cpus = s->cpus;
	p->config = config;
	s->probes_n = PROBES;
	for (int i = 0; i < PROBES; i++) {
		snprintf(s->probe[i].name, sizeof(s->probe[i].name), "%s", probe_names[i]);
		say(p, i, PROBE_OFF, enabled[i] ? "" : "switched off by configuration");
	}
	say(p, TLS, PROBE_OFF, "request.tls is empty");
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
		probe_name_drop_reasons(s, btf);
	for (int i = 0; i < PROBES; i++) {
		if (enabled[i] && btf)
			load_and_say(p, i, btf);
		else if (enabled[i])
			say(p, i, PROBE_FAILED, s->btf);
	}
	log_failures(s);
	if (!p->probe[TCP].loaded)
		probes_first_sweep_done(p); /* there will be none */
	probes_map_own(p);
	p->config = NULL;
	btf__free(btf);
	*ret = p;
	return 0;
out:
	probes_free(p);
	return err;
}

int probes_load_tls(struct probes *p, const struct config *config)
{
	struct btf *btf;

	if (p->probe[TLS].loaded)
		return 0;
	btf = btf__load_vmlinux_btf();
	if (!btf)
		return -errno;
	p->config = config;
	load_and_say(p, TLS, btf);
	p->config = NULL;
	btf__free(btf);
	if (p->probe[TLS].loaded)
		return 0;
	log_warn("keeper", "requests inside TLS cannot be seen: %s", p->shared->probe[TLS].reason);
	return -ENOTSUP;
}

void probes_say(struct probes *p, const char *probe, enum probe_phase phase, const char *reason)
{
	for (int i = 0; i < PROBES; i++)
		if (!strcmp(probe_names[i], probe))
			say(p, i, phase, reason);
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
	probes_free_request(p);
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

struct program *probes_find_program(struct probes *p, const char *name)
{
	for (int i = 0; i < PROBES; i++)
		for (size_t j = 0; j < p->probe[i].programs_n; j++)
			if (!strcmp(bpf_program__name(p->probe[i].program[j].bpf), name))
				return &p->probe[i].program[j];
	return NULL;
}

int probes_attach(struct probes *p, const char *program, bool on)
{
	struct program *prog = probes_find_program(p, program);

	return prog ? attach(p, prog, on) : -ENOENT;
}

int probes_program_fd(struct probes *p, const char *program)
{
	struct program *prog = probes_find_program(p, program);

	return prog ? bpf_program__fd(prog->bpf) : -ENOENT;
}

void probes_say_attached(struct probes *p, const char *program, bool on)
{
	struct program *prog = probes_find_program(p, program);

	if (prog)
		p->shared->prog[prog->shared].attached = on;
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

void probes_first_sweep_done(struct probes *p)
{
	struct request_control *control = probes_request_control(p);

	if (p->probe[TCP].loaded)
		p->tcp->data->tcp_first_sweep = 0;
	if (control)
		__atomic_store_n(&control->ports_known, 1, __ATOMIC_RELAXED);
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
