/* syscall.c - reads the syscall and sched probes' arrays: durations, errors and rates of the calls
 * observed, and the time blocked in each call.
 *
 * Source: BPF arrays mapped by the keeper, summed over CPUs; no system call. Cost: one histogram
 * merge a CPU and syscall in use, 60 of them about 30 us. Bounds: SYSCALL_NRS keys.
 */
#include "sense.h"

#include <errno.h>
#include <math.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/agent.h"
#include "core/probes.h"
#include "maps.h"
#include "probe_series.h"
#include "store/estimate.h"
#include "store/quantile.h"

static const struct metric DURATION METRIC = {
    "trimtab_syscall_duration_seconds", METRIC_HISTOGRAM, "syscall",
    "Duration of the system calls observed: all of them in exact mode, those that begin and end "
    "in one random window in windows mode (see trimtab_syscall_observed_ratio), none in blocked "
    "mode.",
    "tp_btf/sys_enter, tp_btf/sys_exit"};
static const struct metric BLOCKED METRIC = {
    "trimtab_syscall_blocked_seconds", METRIC_HISTOGRAM, "syscall",
    "Time that a task was blocked inside a system call, up to its wake-up, without the wait for a "
    "CPU after it. Complete in every mode; a call may block more than once.",
    "tp_btf/sched_switch, tp_btf/sched_wakeup"};
static const struct metric ERRORS METRIC = {
    "trimtab_syscall_errors_total", METRIC_COUNTER, "syscall,error",
    "System calls observed that returned an error, by its name; observed as the durations are.",
    "tp_btf/sys_exit"};
static const struct metric LATE METRIC = {"trimtab_syscall_late_total", METRIC_COUNTER, "syscall",
					  "Returns observed of calls that began before the window "
					  "or the start: counted, duration unknown.",
					  "tp_btf/sys_exit"};
static const struct metric INFO METRIC = {
    "trimtab_syscall_info", METRIC_GAUGE, "syscall,class",
    "1 for each system call seen; class is wait for those made to wait (epoll_wait, poll, select, "
    "futex waits, sleeps, accept, ...) and work for all others.",
    "table in the program"};
static const struct metric RATIO METRIC = {
    "trimtab_syscall_observed_ratio", METRIC_GAUGE, "",
    "Share of the time in which every system call was observed, over the last 32 ticks: 1 in exact "
    "mode, 0 in blocked mode.",
    "the keeper's clock"};
static const struct metric OBSERVED METRIC = {
    "trimtab_syscall_observed_seconds_total", METRIC_COUNTER, "",
    "Time in which every system call was observed. The rate of calls is the increase of a _count "
    "divided by the increase of this.",
    "the keeper's clock"};
static const struct metric RATE METRIC = {
    "trimtab_syscall_calls_per_second", METRIC_GAUGE, "syscall",
    "Estimated rate of calls over the last 32 ticks, scaled from the windows observed.",
    "tp_btf/sys_exit"};
static const struct metric RATE_ERROR METRIC = {
    "trimtab_syscall_calls_per_second_error", METRIC_GAUGE, "syscall",
    "Half width of the 99 % interval of trimtab_syscall_calls_per_second; 0 in exact mode.",
    "tp_btf/sys_exit"};
static const char *const waits[] = {
    "accept",	       "accept4",      "clock_nanosleep", "epoll_pwait",
    "epoll_pwait2",    "epoll_wait",   "epoll_wait_old",  "futex_wait",
    "futex_waitv",     "io_getevents", "io_pgetevents",	  "mq_timedreceive",
    "msgrcv",	       "nanosleep",    "pause",		  "poll",
    "ppoll",	       "pselect6",     "restart_syscall", "rt_sigsuspend",
    "rt_sigtimedwait", "select",       "wait4",		  "waitid"};

struct syscall_source {
	char name[SYSCALL_NRS][32]; /* by key; "" until asked for */
	struct estimate_clock clock;
	struct estimate_counts counts[SYSCALL_NRS];
	uint64_t returns[SYSCALL_NRS]; /* at the last tick */
	uint64_t tick_ns, observed_ns; /* at the last tick; 0: none yet */
};

static const char *name_of(struct syscall_source *s, uint32_t key)
{
	char *name;

	if (s->name[key][0])
		return s->name[key];
	name = key ? seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, key - 1) : NULL;
	if (key == SYSCALL_NR_FUTEX_WAIT + 1)
		snprintf(s->name[key], sizeof(s->name[key]), "futex_wait");
	else if (name)
		snprintf(s->name[key], sizeof(s->name[key]), "%.31s", name);
	else if (key)
		snprintf(s->name[key], sizeof(s->name[key]), "syscall_%u", key - 1);
	else
		snprintf(s->name[key], sizeof(s->name[key]), "other");
	free(name);
	return s->name[key];
}

static const char *class_of(const char *name)
{
	for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++)
		if (!strcmp(waits[i], name))
			return "wait";
	return "work";
}

/* The slot of a key in one CPU's leases; -1 if that CPU has not met it. Key 0 is always slot 0. */
static int slot_of(const struct syscall_leases *l, uint32_t key)
{
	uint32_t slot = l->slot_of[key];

	if (key == 0)
		return 0;
	return slot > 0 && slot < SYSCALL_SLOTS ? (int)slot : -1;
}

struct key_sum {
	struct hist duration;
	uint64_t late;
	uint64_t errors[SYSCALL_ERRNOS];
};

static void sum_key(const struct agent *a, uint32_t key, struct key_sum *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (uint32_t cpu = 0; cpu < a->shared->cpus; cpu++) {
		const struct syscall_cpu *c = &a->maps->syscall_cpus[cpu];
		int i = slot_of(&c->leases, key);

		if (i < 0)
			continue;
		hist_merge(&ret->duration, &c->slot[i].duration);
		ret->late += c->slot[i].late;
		for (int e = 0; e < SYSCALL_ERRNOS; e++)
			ret->errors[e] += c->slot[i].errors[e];
	}
}

static void write_rate(struct agent *a, struct syscall_source *s, uint32_t key, uint64_t returns,
		       uint64_t now)
{
	double rate, error;

	if (s->tick_ns)
		estimate_note(&s->clock, &s->counts[key], returns - s->returns[key]);
	s->returns[key] = returns;
	if (!estimate_rate(&s->clock, &s->counts[key], &rate, &error))
		return;
	store_set(a->store, &RATE, now, rate, "syscall", name_of(s, key), NULL);
	if (!isnan(error))
		store_set(a->store, &RATE_ERROR, now, error, "syscall", name_of(s, key), NULL);
}

static void write_key(struct agent *a, struct syscall_source *s, uint32_t key, uint64_t now)
{
	struct key_sum sum;
	struct hist *h;
	const char *name = name_of(s, key);

	sum_key(a, key, &sum);
	uint64_t samples = hist_samples(&sum.duration);

	if (!samples && !sum.late)
		return;
	h = store_hist(a->store, &DURATION, now, "syscall", name, NULL);
	if (h)
		*h = sum.duration;
	for (int e = 0; e < SYSCALL_ERRNOS; e++)
		if (sum.errors[e])
			store_set(a->store, &ERRORS, now, sum.errors[e], "syscall", name, "error",
				  errno_label(e), NULL);
	if (sum.late)
		store_set(a->store, &LATE, now, sum.late, "syscall", name, NULL);
	store_set(a->store, &INFO, now, 1, "syscall", name, "class", class_of(name), NULL);
	write_rate(a, s, key, samples + sum.late, now);
}

static void write_blocked(struct agent *a, struct syscall_source *s, uint32_t key, uint64_t now)
{
	struct hist sum = {}, *h;

	for (uint32_t cpu = 0; cpu < a->shared->cpus; cpu++) {
		const struct sched_cpu *c = &a->maps->sched_cpus[cpu];
		int i = slot_of(&c->leases, key);

		if (i >= 0)
			hist_merge(&sum, &c->blocked[i]);
	}
	if (!hist_samples(&sum))
		return;
	h = store_hist(a->store, &BLOCKED, now, "syscall", name_of(s, key), NULL);
	if (h)
		*h = sum;
	store_set(a->store, &INFO, now, 1, "syscall", name_of(s, key), "class",
		  class_of(name_of(s, key)), NULL);
}

/* Which keys any CPU has met, so that the others cost nothing. */
static void mark(const struct syscall_leases *l, bool *met)
{
	met[0] = true;
	for (uint32_t i = 1; i < l->used && i < SYSCALL_SLOTS; i++)
		met[l->key_of[i] & (SYSCALL_NRS - 1)] = true;
}

static void write_observed(struct agent *a, struct syscall_source *s, uint64_t now)
{
	uint64_t observed = shared_observed_ns(&a->shared->windows, now);

	if (s->tick_ns)
		estimate_tick(&s->clock, (observed - s->observed_ns) / 1e9,
			      (now - s->tick_ns) / 1e9);
	s->observed_ns = observed;
	store_set(a->store, &OBSERVED, now, observed / 1e9, NULL);
	store_set(a->store, &RATIO, now, estimate_observed_ratio(&s->clock), NULL);
}

static void write_lost(struct agent *a, uint64_t now)
{
	uint64_t no_room = 0;

	for (uint32_t cpu = 0; cpu < a->shared->cpus; cpu++)
		no_room += a->maps->syscall_cpus[cpu].no_room;
	store_set(a->store, &lost_metric, now, no_room, "probe", "syscall", "reason", "no_room",
		  NULL);
}

static int tick(struct agent *a, void *state, uint64_t now)
{
	bool observed[SYSCALL_NRS] = {}, blocked[SYSCALL_NRS] = {};
	struct syscall_source *s = state;

	write_observed(a, s, now);
	for (uint32_t cpu = 0; cpu < a->shared->cpus; cpu++) {
		if (a->maps->syscall_cpus)
			mark(&a->maps->syscall_cpus[cpu].leases, observed);
		if (a->maps->sched_cpus)
			mark(&a->maps->sched_cpus[cpu].leases, blocked);
	}
	for (uint32_t key = 0; key < SYSCALL_NRS; key++) {
		if (observed[key] && a->maps->syscall_cpus)
			write_key(a, s, key, now);
		if (blocked[key] && a->maps->sched_cpus)
			write_blocked(a, s, key, now);
	}
	if (a->maps->syscall_cpus)
		write_lost(a, now);
	s->tick_ns = now;
	return 0;
}

static int init(struct agent *a, void **ret_state)
{
	struct syscall_source *s;

	if (!a->maps->syscall_cpus && !a->maps->sched_cpus) {
		agent_reason(a, "neither the syscall nor the sched probe is loaded");
		return -ENOTSUP;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	*ret_state = s;
	return 0;
}

static void fini(struct agent *a, void *state)
{
	free(state);
}

const struct module syscall_module = {
    .name = "syscall",
    .about = "system calls: duration, errors, rate, time blocked",
    .roles = ROLE_AGENT,
    .period_ms = 2000,
    .init = init,
    .tick = tick,
    .fini = fini,
};
