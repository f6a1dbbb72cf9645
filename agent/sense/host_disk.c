/* host_disk.c - what the kernel itself counts of each disk.
 *
 * Purpose: what only diskstats has (in flight, merged, busy time), and operations, bytes and time
 * for a node on which the disk probe cannot load; trimtab_block_io_* of the probe are finer.
 * Input: /proc/diskstats. Bounds: HOST_DISKS disks (the rest is counted), HOST_DISK_LINES lines;
 * those that host.ignore_devices matches are left out. Cost: about 12 us with ten lines.
 */
#include "host.h"

#include <string.h>

enum { IN_FLIGHT, MERGED, IO_TIME, WEIGHTED, OPERATIONS, BYTES, SECONDS, METRICS };

static const struct metric metrics[METRICS] METRIC = {
    [IN_FLIGHT] = {"trimtab_block_io_in_flight", METRIC_GAUGE, "device",
		   "I/O requests given to the device and not yet done.", "/proc/diskstats"},
    [MERGED] = {"trimtab_block_io_merged_total", METRIC_COUNTER, "device,op",
		"I/O requests joined with a neighbour before they were issued.", "/proc/diskstats"},
    [IO_TIME] = {"trimtab_disk_io_time_seconds_total", METRIC_COUNTER, "device",
		 "Time in which the device had at least one request; its rate is utilisation.",
		 "/proc/diskstats"},
    [WEIGHTED] = {"trimtab_disk_io_time_weighted_seconds_total", METRIC_COUNTER, "device",
		  "Time times requests in flight; its rate is the mean queue length.",
		  "/proc/diskstats"},
    [OPERATIONS] = {"trimtab_disk_operations_total", METRIC_COUNTER, "device,op",
		    "I/O requests done.", "/proc/diskstats"},
    [BYTES] = {"trimtab_disk_bytes_total", METRIC_COUNTER, "device,op",
	       "Bytes moved; flushes have none.", "/proc/diskstats"},
    [SECONDS] = {"trimtab_disk_operation_seconds_total", METRIC_COUNTER, "device,op",
		 "Sum of the times that requests took, in the queue and in the device.",
		 "/proc/diskstats"},
};

/* the columns after the name; 4.18 brought discards, 5.5 flushes */
enum {
	READS = 0,
	WRITES = 4,
	NOW = 8,
	BUSY_MS,
	WEIGHTED_MS,
	DISCARDS = 11,
	FLUSHES = 15,
	FIELDS = 17
};
enum { SECTOR_BYTES = 512, FLUSH_MS = 16 };

/* a group of four columns: done, merged, sectors, milliseconds */
static void set_group(struct host *h, const char *device, const char *op, const uint64_t group[4])
{
	host_set(h, &metrics[OPERATIONS], (double)group[0], "device", device, "op", op);
	host_set(h, &metrics[MERGED], (double)group[1], "device", device, "op", op);
	host_set(h, &metrics[BYTES], (double)group[2] * SECTOR_BYTES, "device", device, "op", op);
	host_set(h, &metrics[SECONDS], (double)group[3] / 1e3, "device", device, "op", op);
}

static void set_disk(struct host *h, const char *device, struct host_text line)
{
	uint64_t field[FIELDS];
	size_t n = 0;

	while (n < FIELDS && host_text_u64(&line, &field[n]))
		n++;
	if (n < DISCARDS)
		return;
	set_group(h, device, "read", &field[READS]);
	set_group(h, device, "write", &field[WRITES]);
	host_set(h, &metrics[IN_FLIGHT], (double)field[NOW], "device", device);
	host_set(h, &metrics[IO_TIME], (double)field[BUSY_MS] / 1e3, "device", device);
	host_set(h, &metrics[WEIGHTED], (double)field[WEIGHTED_MS] / 1e3, "device", device);
	if (n >= FLUSHES)
		set_group(h, device, "discard", &field[DISCARDS]);
	if (n == FIELDS) {
		host_set(h, &metrics[OPERATIONS], (double)field[FLUSHES], "device", device, "op",
			 "flush");
		host_set(h, &metrics[SECONDS], (double)field[FLUSH_MS] / 1e3, "device", device,
			 "op", "flush");
	}
}

static void disk_tick(struct host *h)
{
	struct host_text text, line, name;
	char device[HOST_NAME_MAX];
	unsigned disks = 0, lines = 0;

	if (host_file_read(h, HOST_DISKSTATS, &text) < 0)
		return;
	while (host_text_line(&text, &line) && lines++ < HOST_DISK_LINES) {
		if (!host_text_skip(&line, 2) || !host_text_word(&line, &name))
			continue;
		host_text_copy(name, device, sizeof(device));
		if (host_ignored(&h->ignore_devices, device))
			continue;
		if (disks++ < HOST_DISKS)
			set_disk(h, device, line);
	}
	h->lost[HOST_LOST_DISKS] += disks > HOST_DISKS ? disks - HOST_DISKS : 0;
}

const struct host_part host_disk_part = {
    .name = "disk",
    .tick = disk_tick,
};
