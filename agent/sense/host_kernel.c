/* host_kernel.c - the kernel's tables and queues that can run out.
 *
 * Inputs: file descriptors, entropy, threads, uptime below /proc; connection tracking, the ARP
 * table and the packet backlog of each CPU below /proc/net; adjtimex(2) for the clock. What is not
 * there (conntrack not loaded) is left out. Bounds: HOST_CPUS rows of the backlog have series, the
 * others are summed as cpu="other". Cost: 2 us a tick for the clock; the rest, 25 us, at
 * each slow one.
 */
#include "host.h"

#include <stdio.h>
#include <sys/timex.h>
#include <time.h>

enum {
	FILES,
	FILES_MAX,
	ENTROPY,
	ENTROPY_POOL,
	THREADS_MAX,
	TRACKED,
	TRACKED_MAX,
	UPTIME,
	NUMBERS,
};

/* files of numbers: the column-th word, from 0 */
static const struct {
	enum host_file file;
	unsigned column;
} numbers[NUMBERS] = {
    [FILES] = {HOST_FILE_NR, 0},
    [FILES_MAX] = {HOST_FILE_NR, 2},
    [ENTROPY] = {HOST_ENTROPY, 0},
    [ENTROPY_POOL] = {HOST_ENTROPY_POOL, 0},
    [THREADS_MAX] = {HOST_THREADS_MAX, 0},
    [TRACKED] = {HOST_CONNTRACK_COUNT, 0},
    [TRACKED_MAX] = {HOST_CONNTRACK_MAX, 0},
    [UPTIME] = {HOST_UPTIME, 0},
};

static const struct metric number_metrics[NUMBERS] METRIC = {
    [FILES] = {"trimtab_file_descriptors_allocated", METRIC_GAUGE, "",
	       "File handles in use on the node.", "/proc/sys/fs/file-nr"},
    [FILES_MAX] = {"trimtab_file_descriptors_max", METRIC_GAUGE, "",
		   "File handles that the node may use.", "/proc/sys/fs/file-nr"},
    [ENTROPY] = {"trimtab_entropy_available_bits", METRIC_GAUGE, "",
		 "Entropy that the kernel holds.", "/proc/sys/kernel/random/entropy_avail"},
    [ENTROPY_POOL] = {"trimtab_entropy_pool_size_bits", METRIC_GAUGE, "",
		      "Entropy that the kernel can hold.", "/proc/sys/kernel/random/poolsize"},
    [THREADS_MAX] = {"trimtab_threads_max", METRIC_GAUGE, "", "Threads that the node may have.",
		     "/proc/sys/kernel/threads-max"},
    [TRACKED] = {"trimtab_conntrack_entries", METRIC_GAUGE, "", "Connections being tracked.",
		 "/proc/sys/net/netfilter/nf_conntrack_count"},
    [TRACKED_MAX] = {"trimtab_conntrack_entries_max", METRIC_GAUGE, "",
		     "Connections that can be tracked.",
		     "/proc/sys/net/netfilter/nf_conntrack_max"},
    [UPTIME] = {"trimtab_uptime_seconds", METRIC_GAUGE, "", "Time since the node was started.",
		"/proc/uptime"},
};

/* files with a line of names and then one line a CPU, hexadecimal */
static const struct metric per_cpu[] METRIC = {
    {"trimtab_arp_entries", METRIC_GAUGE, "", "Entries of the ARP table.",
     "/proc/net/stat/arp_cache entries"},
    {"trimtab_arp_table_full_total", METRIC_COUNTER, "", "Times that the ARP table was full.",
     "/proc/net/stat/arp_cache table_fulls"},
    {"trimtab_conntrack_drop_total", METRIC_COUNTER, "",
     "Packets dropped because connection tracking failed, as when its table is full.",
     "/proc/net/stat/nf_conntrack drop"},
    {"trimtab_conntrack_early_drop_total", METRIC_COUNTER, "",
     "Tracked connections dropped to make room for new ones.",
     "/proc/net/stat/nf_conntrack early_drop"},
    {"trimtab_conntrack_insert_failed_total", METRIC_COUNTER, "",
     "Connections that could not be entered in the table.",
     "/proc/net/stat/nf_conntrack insert_failed"},
    {"trimtab_conntrack_invalid_total", METRIC_COUNTER, "", "Packets that could not be tracked.",
     "/proc/net/stat/nf_conntrack invalid"},
};

#define PER_CPU (sizeof(per_cpu) / sizeof(per_cpu[0]))
enum { ARP_METRICS = 2 }; /* of per_cpu: the others are of HOST_CONNTRACK */

static const struct metric softnet[] METRIC = {
    {"trimtab_softnet_processed_total", METRIC_COUNTER, "cpu",
     "Packets taken from the backlog of a CPU.", "/proc/net/softnet_stat"},
    {"trimtab_softnet_dropped_total", METRIC_COUNTER, "cpu",
     "Packets dropped because the backlog of a CPU was full.", "/proc/net/softnet_stat"},
    {"trimtab_softnet_times_squeezed_total", METRIC_COUNTER, "cpu",
     "Times that a CPU left packets for later because its time was up.", "/proc/net/softnet_stat"},
};

enum { TIME, SYNCHRONIZED, OFFSET, MAX_ERROR, ESTIMATED_ERROR, FREQUENCY, CLOCK_METRICS };

static const struct metric clock_metrics[CLOCK_METRICS] METRIC = {
    [TIME] = {"trimtab_time_seconds", METRIC_GAUGE, "", "Unix time of the node at the last tick.",
	      "clock_gettime"},
    [SYNCHRONIZED] = {"trimtab_clock_synchronized", METRIC_GAUGE, "",
		      "1 if the clock is held by a time service (NTP, PTP).", "adjtimex"},
    [OFFSET] = {"trimtab_clock_offset_seconds", METRIC_GAUGE, "",
		"Distance from the time service's clock.", "adjtimex"},
    [MAX_ERROR] = {"trimtab_clock_max_error_seconds", METRIC_GAUGE, "",
		   "Largest error that the clock can have.", "adjtimex"},
    [ESTIMATED_ERROR] = {"trimtab_clock_estimated_error_seconds", METRIC_GAUGE, "",
			 "Error that the clock is thought to have.", "adjtimex"},
    [FREQUENCY] = {"trimtab_clock_frequency_adjustment_ratio", METRIC_GAUGE, "",
		   "Speed of the clock, adjusted by unadjusted.", "adjtimex"},
};

#define SOFTNET (sizeof(softnet) / sizeof(softnet[0]))

static void read_numbers(struct host *h)
{
	struct host_text text = {0}, rest, word;
	double value;

	for (size_t i = 0; i < NUMBERS; i++) {
		if (i == 0 || numbers[i].file != numbers[i - 1].file)
			if (host_file_read(h, numbers[i].file, &text) < 0)
				text = (struct host_text){0};
		rest = text;
		if (!host_text_skip(&rest, numbers[i].column) || !host_text_word(&rest, &word) ||
		    !host_text_decimal(&word, &value))
			continue;
		host_set(h, &number_metrics[i], value);
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

/* The numbers of entries are the same on each line; counters are summed. */
static void read_column(struct host *h, const struct metric *m, struct host_text text)
{
	struct host_text line;
	unsigned column, rows = 0;
	uint64_t value;
	double sum = 0;

	if (!host_text_line(&text, &line) || !find_column(line, host_field(m), &column))
		return;
	while (host_text_line(&text, &line)) {
		if (!host_text_skip(&line, column) || !host_text_hex(&line, &value))
			continue;
		sum = m->type == METRIC_COUNTER ? sum + (double)value : (double)value;
		rows++;
	}
	if (rows > 0)
		host_set(h, m, sum);
}

static void read_per_cpu(struct host *h)
{
	struct host_text text;

	if (host_file_read(h, HOST_ARP_CACHE, &text) == 0)
		for (size_t i = 0; i < ARP_METRICS; i++)
			read_column(h, &per_cpu[i], text);
	if (host_file_read(h, HOST_CONNTRACK, &text) == 0)
		for (size_t i = ARP_METRICS; i < PER_CPU; i++)
			read_column(h, &per_cpu[i], text);
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
	read_clock(h);
	if (!h->slow)
		return;
	read_numbers(h);
	read_per_cpu(h);
	read_softnet(h);
}

const struct host_part host_kernel_part = {
    .name = "kernel",
    .tick = kernel_tick,
};
