/* host_cpu.c - CPU time by mode, load, context switches, interrupts, forks, run queue.
 *
 * Inputs: /proc/stat, /proc/loadavg. Bounds: 64 CPUs have series of their own, the others are
 * summed in cpu="other". Cost: 15 us with two CPUs, 1.5 us for
 * each more.
 */
#include "host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SECONDS, GUEST, CPUS, LOAD1, LOAD5, LOAD15, THREADS, METRICS };

static const struct metric metrics[METRICS] METRIC = {
    [SECONDS] = {"trimtab_cpu_seconds_total", METRIC_COUNTER, "cpu,mode",
		 "Time that a CPU spent in a mode; user and nice include guest time.",
		 "/proc/stat"},
    [GUEST] = {"trimtab_cpu_guest_seconds_total", METRIC_COUNTER, "cpu,mode",
	       "Time that a CPU spent running virtual machines.", "/proc/stat"},
    [CPUS] = {"trimtab_cpus", METRIC_GAUGE, "", "CPUs that are online.", "/proc/stat"},
    [LOAD1] = {"trimtab_load1", METRIC_GAUGE, "",
	       "Tasks running, runnable or in uninterruptible sleep, mean over 1 minute.",
	       "/proc/loadavg"},
    [LOAD5] = {"trimtab_load5", METRIC_GAUGE, "",
	       "Tasks running, runnable or in uninterruptible sleep, mean over 5 minutes.",
	       "/proc/loadavg"},
    [LOAD15] = {"trimtab_load15", METRIC_GAUGE, "",
		"Tasks running, runnable or in uninterruptible sleep, mean over 15 minutes.",
		"/proc/loadavg"},
    [THREADS] = {"trimtab_threads", METRIC_GAUGE, "", "Threads of all processes.", "/proc/loadavg"},
};

/* one number a line */
static const struct metric totals[] METRIC = {
    {"trimtab_context_switches_total", METRIC_COUNTER, "", "Context switches on all CPUs.",
     "/proc/stat ctxt"},
    {"trimtab_interrupts_total", METRIC_COUNTER, "", "Interrupts serviced.", "/proc/stat intr"},
    {"trimtab_softirqs_total", METRIC_COUNTER, "", "Soft interrupts serviced.",
     "/proc/stat softirq"},
    {"trimtab_forks_total", METRIC_COUNTER, "", "Processes and threads made since boot.",
     "/proc/stat processes"},
    {"trimtab_processes_running", METRIC_GAUGE, "", "Tasks that run or wait for a CPU.",
     "/proc/stat procs_running"},
    {"trimtab_processes_blocked", METRIC_GAUGE, "", "Tasks that wait for disk I/O.",
     "/proc/stat procs_blocked"},
    {"trimtab_boot_time_seconds", METRIC_GAUGE, "", "When the node was started, Unix time.",
     "/proc/stat btime"},
};

#define TOTALS (sizeof(totals) / sizeof(totals[0]))

static const char *const modes[] = {"user", "nice",    "system", "idle", "iowait",
				    "irq",  "softirq", "steal",	 "user", "nice"};

enum { MODES = 10, GUEST_MODES = 8, OTHER = HOST_CPUS };

struct host_cpus {
	double tick_seconds;
	double seconds[HOST_CPUS + 1][MODES];
};

static int cpu_init(struct host *h)
{
	h->cpus = calloc(1, sizeof(*h->cpus));
	if (!h->cpus)
		return -ENOMEM;
	h->cpus->tick_seconds = 1.0 / (double)sysconf(_SC_CLK_TCK);
	return 0;
}

static void cpu_fini(struct host *h)
{
	free(h->cpus);
}

/* idle and iowait can step back by a few ticks (they are estimates while a CPU sleeps): hold them,
 * and take only a larger fall for what it is, a CPU that was taken off and came back */
static double held(double *last, double now)
{
	if (now >= *last || *last - now > 3)
		*last = now;
	return *last;
}

static void set_cpu(struct host *h, unsigned slot, const double seconds[MODES])
{
	char cpu[16] = "other";

	if (slot < OTHER)
		snprintf(cpu, sizeof(cpu), "%u", slot);
	for (size_t m = 0; m < MODES; m++)
		host_set(h, &metrics[m < GUEST_MODES ? SECONDS : GUEST],
			 held(&h->cpus->seconds[slot][m], seconds[m]), "cpu", cpu, "mode",
			 modes[m]);
}

/* rest: what follows "cpu" in a line of one CPU; false if it is the line of all of them */
static bool read_cpu(struct host *h, struct host_text rest, double other[MODES])
{
	double seconds[MODES] = {0};
	uint64_t cpu, ticks;

	if (rest.at == rest.end || *rest.at == ' ' || !host_text_u64(&rest, &cpu))
		return false;
	for (size_t m = 0; m < MODES && host_text_u64(&rest, &ticks); m++)
		seconds[m] = (double)ticks * h->cpus->tick_seconds;
	if (cpu < HOST_CPUS)
		set_cpu(h, (unsigned)cpu, seconds);
	for (size_t m = 0; cpu >= HOST_CPUS && m < MODES; m++)
		other[m] += seconds[m];
	return true;
}

static void read_stat(struct host *h)
{
	struct host_text text, line, key;
	double other[MODES] = {0};
	unsigned cpus = 0;
	uint64_t value;

	if (host_file_read(h, HOST_STAT, &text) < 0)
		return;
	while (host_text_line(&text, &line)) {
		if (host_text_prefix(&line, "cpu")) {
			cpus += read_cpu(h, line, other);
			continue;
		}
		if (!host_text_word(&line, &key) || !host_text_u64(&line, &value))
			continue;
		for (size_t i = 0; i < TOTALS; i++)
			if (host_text_is(key, host_field(&totals[i])))
				host_set(h, &totals[i], (double)value);
	}
	if (cpus > HOST_CPUS)
		set_cpu(h, OTHER, other);
	if (cpus > 0)
		host_set(h, &metrics[CPUS], cpus);
}

static void read_loadavg(struct host *h)
{
	struct host_text text, running;
	double load[3];
	uint64_t threads;

	if (host_file_read(h, HOST_LOADAVG, &text) < 0)
		return;
	for (size_t i = 0; i < 3; i++)
		if (!host_text_decimal(&text, &load[i]))
			return;
	for (size_t i = 0; i < 3; i++)
		host_set(h, &metrics[LOAD1 + i], load[i]);
	if (host_text_until(&text, '/', &running) && host_text_u64(&text, &threads))
		host_set(h, &metrics[THREADS], (double)threads);
}

static void cpu_tick(struct host *h)
{
	read_stat(h);
	read_loadavg(h);
}

const struct host_part host_cpu_part = {
    .name = "cpu",
    .init = cpu_init,
    .tick = cpu_tick,
    .fini = cpu_fini,
};
