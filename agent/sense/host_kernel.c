/* host_kernel.c - the kernel's tables and queues that can run out.
 *
 * Inputs: file descriptors, entropy, threads, uptime below /proc; connection tracking, the ARP
 * table and the packet backlog of each CPU below /proc/net; adjtimex(2) for the clock. What is not
 * there (conntrack not loaded) is left out. Bounds: HOST_CPUS rows of the backlog have series, the
 * others are summed as cpu="other". Cost: about 40 us.
 */
#include "host.h"

#include <stdio.h>
#include <sys/timex.h>
#include <time.h>

#define METRIC(type_, name_, help_, source_)                                                       \
	{                                                                                          \
		name_, METRIC_##type_, "", help_, source_                                          \
	}

/* files of numbers: the column-th word, from 0 */
static const struct {
	enum host_file file;
	unsigned column;
	struct metric metric;
} numbers[] = {
    {HOST_FILE_NR, 0,
     METRIC(GAUGE, "trimtab_file_descriptors_allocated", "File handles in use on the node.",
	    "/proc/sys/fs/file-nr")},
    {HOST_FILE_NR, 2,
     METRIC(GAUGE, "trimtab_file_descriptors_max", "File handles that the node may use.",
	    "/proc/sys/fs/file-nr")},
    {HOST_ENTROPY, 0,
     METRIC(GAUGE, "trimtab_entropy_available_bits", "Entropy that the kernel holds.",
	    "/proc/sys/kernel/random/entropy_avail")},
    {HOST_ENTROPY_POOL, 0,
     METRIC(GAUGE, "trimtab_entropy_pool_size_bits", "Entropy that the kernel can hold.",
	    "/proc/sys/kernel/random/poolsize")},
    {HOST_THREADS_MAX, 0,
     METRIC(GAUGE, "trimtab_threads_max", "Threads that the node may have.",
	    "/proc/sys/kernel/threads-max")},
    {HOST_CONNTRACK_COUNT, 0,
     METRIC(GAUGE, "trimtab_conntrack_entries", "Connections being tracked.",
	    "/proc/sys/net/netfilter/nf_conntrack_count")},
    {HOST_CONNTRACK_MAX, 0,
     METRIC(GAUGE, "trimtab_conntrack_entries_max", "Connections that can be tracked.",
	    "/proc/sys/net/netfilter/nf_conntrack_max")},
    {HOST_UPTIME, 0,
     METRIC(GAUGE, "trimtab_uptime_seconds", "Time since the node was started.", "/proc/uptime")},
};

/* files with a line of names and then one line a CPU, hexadecimal. The numbers of entries are the
 * same on each line: `sum` is false for them. */
static const struct {
	enum host_file file;
	const char *column;
	bool sum;
	struct metric metric;
} per_cpu[] = {
    {HOST_ARP_CACHE, "entries", false,
     METRIC(GAUGE, "trimtab_arp_entries", "Entries of the ARP table.", "/proc/net/stat/arp_cache")},
    {HOST_ARP_CACHE, "table_fulls", true,
     METRIC(COUNTER, "trimtab_arp_table_full_total", "Times that the ARP table was full.",
	    "/proc/net/stat/arp_cache")},
    {HOST_CONNTRACK, "drop", true,
     METRIC(COUNTER, "trimtab_conntrack_drop_total",
	    "Packets dropped because connection tracking failed, as when its table is full.",
	    "/proc/net/stat/nf_conntrack")},
    {HOST_CONNTRACK, "early_drop", true,
     METRIC(COUNTER, "trimtab_conntrack_early_drop_total",
	    "Tracked connections dropped to make room for new ones.",
	    "/proc/net/stat/nf_conntrack")},
    {HOST_CONNTRACK, "insert_failed", true,
     METRIC(COUNTER, "trimtab_conntrack_insert_failed_total",
	    "Connections that could not be entered in the table.", "/proc/net/stat/nf_conntrack")},
    {HOST_CONNTRACK, "invalid", true,
     METRIC(COUNTER, "trimtab_conntrack_invalid_total", "Packets that could not be tracked.",
	    "/proc/net/stat/nf_conntrack")},
};

static const struct metric softnet[] = {
    {"trimtab_softnet_processed_total", METRIC_COUNTER, "cpu",
     "Packets taken from the backlog of a CPU.", "/proc/net/softnet_stat"},
    {"trimtab_softnet_dropped_total", METRIC_COUNTER, "cpu",
     "Packets dropped because the backlog of a CPU was full.", "/proc/net/softnet_stat"},
    {"trimtab_softnet_times_squeezed_total", METRIC_COUNTER, "cpu",
     "Times that a CPU left packets for later because its time was up.", "/proc/net/softnet_stat"},
};

enum { TIME, SYNCHRONIZED, OFFSET, MAX_ERROR, ESTIMATED_ERROR, FREQUENCY, CLOCK_METRICS };

static const struct metric clock_metrics[CLOCK_METRICS] = {
    [TIME] = METRIC(GAUGE, "trimtab_time_seconds", "Unix time of the node.", "clock_gettime"),
    [SYNCHRONIZED] = METRIC(GAUGE, "trimtab_clock_synchronized",
			    "1 if the clock is held by a time service (NTP, PTP).", "adjtimex"),
    [OFFSET] = METRIC(GAUGE, "trimtab_clock_offset_seconds",
		      "Distance from the time service's clock.", "adjtimex"),
    [MAX_ERROR] = METRIC(GAUGE, "trimtab_clock_max_error_seconds",
			 "Largest error that the clock can have.", "adjtimex"),
    [ESTIMATED_ERROR] = METRIC(GAUGE, "trimtab_clock_estimated_error_seconds",
			       "Error that the clock is thought to have.", "adjtimex"),
    [FREQUENCY] = METRIC(GAUGE, "trimtab_clock_frequency_adjustment_ratio",
			 "Speed of the clock, adjusted by unadjusted.", "adjtimex"),
};

#define NUMBERS (sizeof(numbers) / sizeof(numbers[0]))
#define PER_CPU (sizeof(per_cpu) / sizeof(per_cpu[0]))
#define SOFTNET (sizeof(softnet) / sizeof(softnet[0]))

static void read_numbers(struct host *h)
{
	struct host_text text, word;
	double value;

	for (size_t i = 0; i < NUMBERS; i++) {
		if (host_file_read(h, numbers[i].file, &text) < 0 ||
		    !host_text_skip(&text, numbers[i].column) || !host_text_word(&text, &word) ||
		    !host_text_decimal(&word, &value))
			continue;
		host_set(h, &numbers[i].metric, value);
	}
}

/* The place of `name` in the line of names, from 0; false if it is not there. */
static bool find_column(struct host_text names, const char *name, unsigned *ret)
{
	struct host_text word;

	for (unsigned i = 0; host_text_word(&names, &word); i++) {
		if (!host_text_is(word, name))
			continue;
		*ret = i;
		return true;
	}
	return false;
}

static void read_per_cpu(struct host *h, size_t i)
{
	struct host_text text, line;
	unsigned column, rows = 0;
	uint64_t value;
	double sum = 0;

	if (host_file_read(h, per_cpu[i].file, &text) < 0 || !host_text_line(&text, &line) ||
	    !find_column(line, per_cpu[i].column, &column))
		return;
	while (host_text_line(&text, &line)) {
		if (!host_text_skip(&line, column) || !host_text_hex(&line, &value))
			continue;
		sum = per_cpu[i].sum ? sum + (double)value : (double)value;
		rows++;
	}
	if (rows > 0)
		host_set(h, &per_cpu[i].metric, sum);
}

/* columns: processed, dropped, squeezed, ...; the 13th is the CPU, since 5.14; before, the row is
 */
static void read_softnet(struct host *h)
{
	uint64_t value[SOFTNET], cpu;
	double other[SOFTNET] = {0};
	struct host_text text, line, rest;
	char name[16];
	size_t n;

	if (host_file_read(h, HOST_SOFTNET, &text) < 0)
		return;
	for (uint64_t row = 0; host_text_line(&text, &line); row++) {
		rest = line;
		if (!host_text_skip(&rest, 12) || !host_text_hex(&rest, &cpu))
			cpu = row;
		for (n = 0; n < SOFTNET && host_text_hex(&line, &value[n]);)
			n++;
		if (n < SOFTNET)
			continue;
		snprintf(name, sizeof(name), "%u", (unsigned)cpu);
		for (size_t i = 0; i < SOFTNET; i++) {
			if (cpu < HOST_CPUS)
				host_set(h, &softnet[i], (double)value[i], "cpu", name);
			else
				other[i] += (double)value[i];
		}
	}
	for (size_t i = 0; i < SOFTNET; i++)
		if (other[0] > 0)
			host_set(h, &softnet[i], other[i], "cpu", "other");
}

static void read_clock(struct host *h)
{
	struct timex t = {0};
	struct timespec now;
	double unit;

	clock_gettime(CLOCK_REALTIME, &now);
	host_set(h, &clock_metrics[TIME], (double)now.tv_sec + (double)now.tv_nsec / 1e9);
	if (adjtimex(&t) < 0)
		return;
	unit = t.status & STA_NANO ? 1e-9 : 1e-6;
	host_set(h, &clock_metrics[SYNCHRONIZED], !(t.status & STA_UNSYNC));
	host_set(h, &clock_metrics[OFFSET], (double)t.offset * unit);
	host_set(h, &clock_metrics[MAX_ERROR], (double)t.maxerror / 1e6);
	host_set(h, &clock_metrics[ESTIMATED_ERROR], (double)t.esterror / 1e6);
	/* freq: parts per million, shifted left by 16 */
	host_set(h, &clock_metrics[FREQUENCY], 1 + (double)t.freq / 65536 / 1e6);
}

static void kernel_tick(struct host *h)
{
	read_numbers(h);
	for (size_t i = 0; i < PER_CPU; i++)
		read_per_cpu(h, i);
	read_softnet(h);
	read_clock(h);
}

static const struct metric *kernel_metric(size_t i)
{
	if (i < NUMBERS)
		return &numbers[i].metric;
	i -= NUMBERS;
	if (i < PER_CPU)
		return &per_cpu[i].metric;
	i -= PER_CPU;
	if (i < SOFTNET)
		return &softnet[i];
	i -= SOFTNET;
	return i < CLOCK_METRICS ? &clock_metrics[i] : NULL;
}

const struct host_part host_kernel_part = {
    .name = "kernel",
    .tick = kernel_tick,
    .metric = kernel_metric,
};
