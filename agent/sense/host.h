/* host.h - what the host_*.c files share: the basics of the node, read from /proc and /sys.
 *
 * Each file is one part: a table of metrics and a function that reads a few files and sets series.
 * What is missing on this kernel leaves its series out; what is beyond a bound is counted in
 * trimtab_lost_total{probe="host"}. Parts with `slow` set run about every 10 s, so that their
 * series stay younger than STORE_STALE_NS at any period up to that.
 *
 * Bounds: one buffer of 256 KiB for the file being read (only the pages that are used cost memory),
 * HOST_FILES descriptors kept open, 64 each of CPUs (the rest summed as cpu="other"), disks, mounts
 * and network devices. Cost, with two CPUs and four devices: 0.16 ms of CPU a tick, 0.6 ms a slow
 * one, up to three times that when the caches are cold; most of it is the kernel writing the files.
 */
#ifndef TRIMTAB_HOST_H
#define TRIMTAB_HOST_H

#include <regex.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/statvfs.h>
#include "host_text.h"
#include "module.h"
#include "store/store.h"

#define HOST_CPUS 64
#define HOST_DISKS 64
#define HOST_DISK_LINES 512 /* lines of /proc/diskstats looked at, partitions included */
#define HOST_MOUNTS 64
#define HOST_DEVICES 64
#define HOST_SENSORS 32
#define HOST_VERDICTS 256
#define HOST_ORDER 512
#define HOST_NAME_MAX 64 /* bytes of a device's name, with the NUL */
#define HOST_PATH_MAX 512
#define HOST_BUFFER_BYTES (256 << 10)
#define HOST_SLOW_NS (12ULL * 1000000000)

struct host;
struct host_cpus;
struct host_disks;
struct host_filesystems;
struct host_sensors;

/* the files read at each tick, kept open; their paths are in host_file.c */
enum host_file {
	HOST_STAT,
	HOST_LOADAVG,
	HOST_UPTIME,
	HOST_MEMINFO,
	HOST_VMSTAT,
	HOST_PRESSURE_CPU,
	HOST_PRESSURE_MEMORY,
	HOST_PRESSURE_IO,
	HOST_PRESSURE_IRQ,
	HOST_DISKSTATS,
	HOST_MOUNTINFO,
	HOST_NET_DEV,
	HOST_NETSTAT,
	HOST_SNMP,
	HOST_SNMP6,
	HOST_SOCKSTAT,
	HOST_SOCKSTAT6,
	HOST_SOFTNET,
	HOST_ARP_CACHE,
	HOST_CONNTRACK,
	HOST_CONNTRACK_COUNT,
	HOST_CONNTRACK_MAX,
	HOST_FILE_NR,
	HOST_ENTROPY,
	HOST_ENTROPY_POOL,
	HOST_THREADS_MAX,
	HOST_FILES
};

enum host_loss {
	HOST_LOST_DISKS,
	HOST_LOST_MOUNTS,
	HOST_LOST_DEVICES,
	HOST_LOST_SENSORS,
	HOST_LOST_TEXT,	 /* a file longer than the buffer */
	HOST_LOST_STUCK, /* a network filesystem that does not answer, or no thread to ask it */
	HOST_LOSSES
};

/* where the node's files are; HOST_PROC, HOST_SYS and HOST_ROOT name others, as for a container
 * that has the node's root mounted at /host */
struct host_paths {
	const char *proc, *sys, *root; /* "/proc", "/sys", "" */
};

struct host_options {
	const char *ignore_mounts, *ignore_devices; /* extended regular expressions; NULL: none */
	uint64_t period_ns;
};

/* An ignore option, compiled, with the verdicts on the names seen last. */
struct host_ignore {
	char *text; /* NULL: nothing is ignored */
	regex_t regex;
	uint32_t generation;
	struct host_verdict {
		char name[HOST_NAME_MAX];
		uint32_t generation; /* 0: empty */
		bool ignored;
	} verdict[HOST_VERDICTS];
};

/* What stands where in a file; see host_order.c. All zero: not known yet. */
struct host_order {
	int16_t at[HOST_ORDER];
};

struct host_orders {
	struct host_order meminfo, vmstat, snmp, netstat, snmp6, sockstat, sockstat6;
};

/* Owned by the module. The parts' states are owned by it too and made by the parts' init. */
struct host {
	struct store *store;
	int (*statvfs)(const char *path, struct statvfs *ret); /* another one in tests */
	struct host_paths paths;
	struct host_ignore ignore_mounts, ignore_devices;
	uint64_t period_ns;
	uint64_t now_ns;
	uint64_t slow_ns;   /* last slow tick; 0: never */
	bool slow;	    /* this tick is one */
	int fd[HOST_FILES]; /* -1: not open, tried again at the next slow tick */
	uint64_t lost[HOST_LOSSES];
	struct host_cpus *cpus;
	struct host_disks *disks;
	struct host_filesystems *filesystems;
	struct host_sensors *sensors;
	struct host_orders orders;
	char *buffer;
};

struct host_part {
	const char *name;
	bool slow;
	int (*init)(struct host *h); /* 0 or -ENOMEM; NULL: no state of its own */
	void (*tick)(struct host *h);
	void (*fini)(struct host *h);
};

extern const struct host_part host_cpu_part, host_memory_part, host_pressure_part, host_disk_part,
    host_filesystem_part, host_network_part, host_link_part, host_netstat_part, host_kernel_part,
    host_node_part, host_sensor_part;

/* The default places, or those that the environment names. */
struct host_paths host_paths_of_environment(void);
/* paths: kept, not copied. NULL if there is no memory. host_free(NULL) is fine. */
struct host *host_new(struct store *store, const struct host_paths *paths);
void host_free(struct host *h);
/* options: its strings are used during the call only */
void host_tick(struct host *h, const struct host_options *options, uint64_t now_ns);

/* host_file.c: the whole of a kept file, or of any file, as text that lives until the next read
 * into the same buffer. 0 or -errno. */
int host_file_read(struct host *h, enum host_file file, struct host_text *ret);
int host_file_slurp(const char *path, char *buffer, size_t size, struct host_text *ret);
/* one number of a small file below paths.sys or paths.proc */
int host_file_number(const char *root, const char *name, double *ret);
void host_file_init(struct host *h);
void host_file_close(struct host *h);
/* "PROC/stat": for messages */
void host_file_path(const struct host *h, enum host_file file, char *ret, size_t size);

/* What stands behind the file in a metric's source: "MemFree" of "/proc/meminfo MemFree". The
 * tables of fields are made so, and the documentation has it for free. */
const char *host_field(const struct metric *m);

/* host_order.c: the metric of the i-th field of a file, whose host_field() is "KEY" or, if protocol
 * is not empty, "PROTOCOL KEY"; NULL if the table has none. */
const struct metric *host_order_find(struct host *h, struct host_order *order, size_t i,
				     const struct metric *table, size_t n,
				     struct host_text protocol, struct host_text key);

/* host_ignore.c: takes another pattern if it differs from the last one */
void host_ignore_update(struct host_ignore *ignore, const char *pattern);
void host_ignore_free(struct host_ignore *ignore);
bool host_ignored(struct host_ignore *ignore, const char *name);

#define host_set(h, metric, value, ...)                                                            \
	store_set((h)->store, (metric), (h)->now_ns, (value), ##__VA_ARGS__, NULL)

#endif
