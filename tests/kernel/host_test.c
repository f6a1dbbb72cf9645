/* host_test.c - the host basics against prometheus-node-exporter on the same kernel.
 *
 * Ours are read before and after theirs, by a child without any privilege: each counter of theirs
 * must lie between, each gauge near. And every metric that it serves by default must be one that we
 * have, under the name that the tables below give, or stand in the table of what is left out, with
 * the reason. Skipped where the exporter is not installed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <math.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "sense/host.h"

#define EXPORTER "/usr/bin/prometheus-node-exporter"
#define NOBODY 65534
#define SECOND 1000000000ULL
#define NOW (1000 * SECOND)
#define SERIES 4096
#define PAGE_BYTES (1 << 20)
#define DEADLINE_S 30
#define ATTEMPTS 10

extern const struct metric __start_trimtab_metrics[], __stop_trimtab_metrics[];

/* $NAME in labels stands for the value of their label NAME */
static const struct {
	const char *theirs, *ours, *labels;
	double scale;
} same[] = {
    {"node_arp_entries", NULL, NULL, 0}, /* one a device; ours is checked by its sum below */
    {"node_boot_time_seconds", "trimtab_boot_time_seconds", "", 1},
    {"node_context_switches_total", "trimtab_context_switches_total", "", 1},
    {"node_cpu_guest_seconds_total", "trimtab_cpu_guest_seconds_total",
     "cpu=\"$cpu\",mode=\"$mode\"", 1},
    {"node_cpu_seconds_total", "trimtab_cpu_seconds_total", "cpu=\"$cpu\",mode=\"$mode\"", 1},
    {"node_cpu_scaling_frequency_hertz", "trimtab_cpu_frequency_hertz", "cpu=\"$cpu\"", 1},
    {"node_disk_discard_time_seconds_total", "trimtab_disk_operation_seconds_total",
     "device=\"$device\",op=\"discard\"", 1},
    {"node_disk_discarded_sectors_total", "trimtab_disk_bytes_total",
     "device=\"$device\",op=\"discard\"", 512},
    {"node_disk_discards_completed_total", "trimtab_disk_operations_total",
     "device=\"$device\",op=\"discard\"", 1},
    {"node_disk_discards_merged_total", "trimtab_block_io_merged_total",
     "device=\"$device\",op=\"discard\"", 1},
    {"node_disk_flush_requests_time_seconds_total", "trimtab_disk_operation_seconds_total",
     "device=\"$device\",op=\"flush\"", 1},
    {"node_disk_flush_requests_total", "trimtab_disk_operations_total",
     "device=\"$device\",op=\"flush\"", 1},
    {"node_disk_io_now", "trimtab_block_io_in_flight", "device=\"$device\"", 1},
    {"node_disk_io_time_seconds_total", "trimtab_disk_io_time_seconds_total", "device=\"$device\"",
     1},
    {"node_disk_io_time_weighted_seconds_total", "trimtab_disk_io_time_weighted_seconds_total",
     "device=\"$device\"", 1},
    {"node_disk_read_bytes_total", "trimtab_disk_bytes_total", "device=\"$device\",op=\"read\"", 1},
    {"node_disk_read_time_seconds_total", "trimtab_disk_operation_seconds_total",
     "device=\"$device\",op=\"read\"", 1},
    {"node_disk_reads_completed_total", "trimtab_disk_operations_total",
     "device=\"$device\",op=\"read\"", 1},
    {"node_disk_reads_merged_total", "trimtab_block_io_merged_total",
     "device=\"$device\",op=\"read\"", 1},
    {"node_disk_write_time_seconds_total", "trimtab_disk_operation_seconds_total",
     "device=\"$device\",op=\"write\"", 1},
    {"node_disk_writes_completed_total", "trimtab_disk_operations_total",
     "device=\"$device\",op=\"write\"", 1},
    {"node_disk_writes_merged_total", "trimtab_block_io_merged_total",
     "device=\"$device\",op=\"write\"", 1},
    {"node_disk_written_bytes_total", "trimtab_disk_bytes_total", "device=\"$device\",op=\"write\"",
     1},
    {"node_entropy_available_bits", "trimtab_entropy_available_bits", "", 1},
    {"node_entropy_pool_size_bits", "trimtab_entropy_pool_size_bits", "", 1},
    {"node_filefd_allocated", "trimtab_file_descriptors_allocated", "", 1},
    {"node_filefd_maximum", "trimtab_file_descriptors_max", "", 1},
#define MOUNT "device=\"$device\",mountpoint=\"$mountpoint\",fstype=\"$fstype\""
    {"node_filesystem_avail_bytes", "trimtab_filesystem_avail_bytes", MOUNT, 1},
    {"node_filesystem_device_error", "trimtab_filesystem_device_error", MOUNT, 1},
    {"node_filesystem_files", "trimtab_filesystem_files", MOUNT, 1},
    {"node_filesystem_files_free", "trimtab_filesystem_files_free", MOUNT, 1},
    {"node_filesystem_free_bytes", "trimtab_filesystem_free_bytes", MOUNT, 1},
    {"node_filesystem_readonly", "trimtab_filesystem_readonly", MOUNT, 1},
    {"node_filesystem_size_bytes", "trimtab_filesystem_size_bytes", MOUNT, 1},
    {"node_forks_total", "trimtab_forks_total", "", 1},
    {"node_intr_total", "trimtab_interrupts_total", "", 1},
    {"node_load1", "trimtab_load1", "", 1},
    {"node_load5", "trimtab_load5", "", 1},
    {"node_load15", "trimtab_load15", "", 1},
    {"node_network_carrier", "trimtab_network_carrier", "device=\"$device\"", 1},
    {"node_network_carrier_changes_total", "trimtab_network_carrier_changes_total",
     "device=\"$device\"", 1},
    {"node_network_mtu_bytes", "trimtab_network_mtu_bytes", "device=\"$device\"", 1},
    {"node_network_transmit_queue_length", "trimtab_network_transmit_queue_length",
     "device=\"$device\"", 1},
    {"node_network_up", "trimtab_network_up", "device=\"$device\"", 1},
#define TRAFFIC(name)                                                                              \
	{                                                                                          \
		"node_network_" name, "trimtab_network_" name, "device=\"$device\"", 1             \
	}
    TRAFFIC("receive_bytes_total"),
    TRAFFIC("receive_packets_total"),
    TRAFFIC("receive_errs_total"),
    TRAFFIC("receive_drop_total"),
    TRAFFIC("receive_fifo_total"),
    TRAFFIC("receive_frame_total"),
    TRAFFIC("receive_compressed_total"),
    TRAFFIC("receive_multicast_total"),
    TRAFFIC("transmit_bytes_total"),
    TRAFFIC("transmit_packets_total"),
    TRAFFIC("transmit_errs_total"),
    TRAFFIC("transmit_drop_total"),
    TRAFFIC("transmit_fifo_total"),
    TRAFFIC("transmit_colls_total"),
    TRAFFIC("transmit_carrier_total"),
    TRAFFIC("transmit_compressed_total"),
    {"node_nf_conntrack_entries", "trimtab_conntrack_entries", "", 1},
    {"node_nf_conntrack_entries_limit", "trimtab_conntrack_entries_max", "", 1},
    {"node_nf_conntrack_stat_drop", "trimtab_conntrack_drop_total", "", 1},
    {"node_nf_conntrack_stat_early_drop", "trimtab_conntrack_early_drop_total", "", 1},
    {"node_nf_conntrack_stat_insert_failed", "trimtab_conntrack_insert_failed_total", "", 1},
    {"node_nf_conntrack_stat_invalid", "trimtab_conntrack_invalid_total", "", 1},
#define PRESSURE(resource, theirs, kind)                                                           \
	{                                                                                          \
		"node_pressure_" resource "_" theirs "_seconds_total",                             \
		    "trimtab_pressure_seconds_total",                                              \
		    "resource=\"" resource "\",kind=\"" kind "\"", 1                               \
	}
    PRESSURE("cpu", "waiting", "some"),
    PRESSURE("io", "waiting", "some"),
    PRESSURE("io", "stalled", "full"),
    PRESSURE("memory", "waiting", "some"),
    PRESSURE("memory", "stalled", "full"),
    {"node_procs_blocked", "trimtab_processes_blocked", "", 1},
    {"node_procs_running", "trimtab_processes_running", "", 1},
    {"node_softnet_dropped_total", "trimtab_softnet_dropped_total", "cpu=\"$cpu\"", 1},
    {"node_softnet_processed_total", "trimtab_softnet_processed_total", "cpu=\"$cpu\"", 1},
    {"node_softnet_times_squeezed_total", "trimtab_softnet_times_squeezed_total", "cpu=\"$cpu\"",
     1},
    {"node_time_seconds", "trimtab_time_seconds", "", 1},
    {"node_timex_estimated_error_seconds", "trimtab_clock_estimated_error_seconds", "", 1},
    {"node_timex_frequency_adjustment_ratio", "trimtab_clock_frequency_adjustment_ratio", "", 1},
    {"node_timex_maxerror_seconds", "trimtab_clock_max_error_seconds", "", 1},
    {"node_timex_offset_seconds", "trimtab_clock_offset_seconds", "", 1},
    {"node_timex_sync_status", "trimtab_clock_synchronized", "", 1},
};

#define SAME (sizeof(same) / sizeof(same[0]))

/* what theirs are called of a metric that is made from a table of fields: by its source */
static const struct {
	const char *source, *prefix;
} tables[] = {
    {"/proc/meminfo ", "node_memory_"},		{"/proc/vmstat ", "node_vmstat_"},
    {"/proc/net/snmp ", "node_netstat_"},	{"/proc/net/netstat ", "node_netstat_"},
    {"/proc/net/snmp6 ", "node_netstat_"},	{"/proc/net/sockstat ", "node_sockstat_"},
    {"/proc/net/sockstat6 ", "node_sockstat_"},
};

/* what is left out, by the beginning of its name */
static const char *const left_out[][2] = {
    {"go_", "the exporter's own"},
    {"process_", "the exporter's own"},
    {"promhttp_", "the exporter's own"},
    {"node_exporter_build_info", "the exporter's own"},
    {"node_scrape_", "the exporter's own"},
    {"node_textfile_", "its way to add metrics; here StatsD and the API"},
    {"node_uname_info", "labels, not a figure: trimtab_node_info"},
    {"node_os_", "labels, not a figure: trimtab_node_info"},
    {"node_disk_info", "hardware inventory"},
    {"node_dmi_", "hardware inventory"},
    {"node_network_info", "inventory"},
    {"node_network_address_assign_type", "inventory"},
    {"node_network_device_id", "inventory"},
    {"node_network_dormant", "inventory"},
    {"node_network_flags", "inventory"},
    {"node_network_iface_", "inventory"},
    {"node_network_name_assign_type", "inventory"},
    {"node_network_net_dev_group", "inventory"},
    {"node_network_protocol_type", "inventory"},
    {"node_network_carrier_down_changes_total", "half of carrier_changes"},
    {"node_network_carrier_up_changes_total", "half of carrier_changes"},
    {"node_network_receive_nohandler_total", "part of the drops on current kernels"},
    {"node_network_speed_bytes",
     "left out by us when the device does not know it (theirs: -125000)"},
    {"node_nf_conntrack_stat_", "lookup statistics of the kernel's hash"},
    {"node_sockstat_TCP_mem", "in pages; ours is in bytes, as is their _mem_bytes"},
    {"node_sockstat_UDP_mem", "in pages; ours is in bytes, as is their _mem_bytes"},
    {"node_selinux_", "inventory"},
    {"node_time_clocksource_", "inventory"},
    {"node_time_zone_", "inventory"},
    {"node_timex_", "pulse-per-second hardware and the discipline's own constants"},
    {"node_udp_queues", "walks every socket: too dear for each tick"},
    {"node_xfs_", "one file system's own statistics"},
    {"node_btrfs_", "one file system's own statistics"},
    {"node_bonding_", "hardware inventory"},
    {"node_edac_", "hardware errors"},
    {"node_cooling_device_", "hardware inventory"},
    {"node_thermal_zone_temp", "labelled otherwise: trimtab_temperature_celsius"},
    {"node_hwmon_", "labelled otherwise: trimtab_temperature_celsius; slow buses are not read"},
    {"node_power_supply_", "hardware inventory"},
    {"node_rapl_", "root only on current kernels"},
    {"node_schedstat_", "the sched probe has better"},
    {"node_cpu_core_throttles_total", "hardware errors"},
    {"node_cpu_package_throttles_total", "hardware errors"},
    {"node_cpu_frequency_", "trimtab_cpu_frequency_hertz"},
    {"node_cpu_scaling_frequency_", "trimtab_cpu_frequency_hertz"},
    {"node_nvme_", "inventory"},
    {"node_md_", "software RAID"},
    {"node_nfs", "one file system's own statistics"},
    {"node_ipvs_", "load balancing in the kernel"},
    {"node_infiniband_", "hardware"},
    {"node_fibrechannel_", "hardware"},
    {"node_zfs_", "one file system's own statistics"},
};

struct reading {
	void *mem;
	struct store *store;
};

struct exporter {
	pid_t pid;
	uint16_t port;
	char *page; /* what it served last */
};

static size_t store_bytes(void)
{
	return store_size(SERIES, 1);
}

static struct reading reading_new(void)
{
	struct reading r;

	r.mem =
	    mmap(NULL, store_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(r.mem != MAP_FAILED);
	r.store = store_open(r.mem, store_bytes(), SERIES, 1);
	assert_non_null(r.store);
	return r;
}

static void reading_free(struct reading *r)
{
	munmap(r->mem, store_bytes());
}

/* in the child: 0, or the line that failed */
static int read_as_nobody(struct store *store)
{
	const struct host_paths paths = {.proc = "/proc", .sys = "/sys", .root = ""};
	const struct host_options options = {
	    .ignore_devices = "^(loop|ram)[0-9]+$",
	    .period_ns = 2 * SECOND,
	};
	struct host *h;

	if (geteuid() == 0 && (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY)))
		return __LINE__ % 256;
	h = host_new(store, &paths);
	if (!h)
		return __LINE__ % 256;
	host_tick(h, &options, NOW);
	host_free(h);
	return 0;
}

static struct reading read_ours(void)
{
	struct reading r = reading_new();
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(read_as_nobody(r.store));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return r;
}

static int loopback(uint16_t port, struct sockaddr_in *ret)
{
	*ret = (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static uint16_t free_port(void)
{
	struct sockaddr_in at;
	socklen_t size = sizeof(at);
	int fd = loopback(0, &at);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	close(fd);
	return ntohs(at.sin_port);
}

/* false if nobody listens yet */
static bool fetch(struct exporter *e)
{
	static const char request[] = "GET /metrics HTTP/1.0\r\n\r\n";
	struct sockaddr_in at;
	int fd = loopback(e->port, &at);
	size_t used = 0;
	ssize_t n;

	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		close(fd);
		return false;
	}
	assert_int_equal(write(fd, request, sizeof(request) - 1), sizeof(request) - 1);
	while ((n = read(fd, e->page + used, PAGE_BYTES - 1 - used)) > 0)
		used += (size_t)n;
	e->page[used] = 0;
	close(fd);
	return strstr(e->page, " 200 OK") != NULL;
}

static int set_up(void **state)
{
	const struct timespec nap = {.tv_nsec = 10000000};
	struct exporter *e = calloc(1, sizeof(*e));
	char listen[64];

	*state = e;
	e->page = calloc(1, PAGE_BYTES);
	if (access(EXPORTER, X_OK) < 0)
		return 0;
	e->port = free_port();
	snprintf(listen, sizeof(listen), "--web.listen-address=127.0.0.1:%u", e->port);
	e->pid = fork();
	if (e->pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(null, 2);
		execl(EXPORTER, EXPORTER, listen, (char *)NULL);
		_exit(127);
	}
	for (unsigned i = 0; i < DEADLINE_S * 100; i++) {
		if (fetch(e))
			return 0;
		nanosleep(&nap, NULL);
	}
	return -1;
}

static int tear_down(void **state)
{
	struct exporter *e = *state;

	if (e->pid > 0) {
		kill(e->pid, SIGKILL);
		waitpid(e->pid, NULL, 0);
	}
	free(e->page);
	free(e);
	return 0;
}

/* Copies the value of a label, as it is written; false if there is none. */
static bool label(const char *labels, const char *name, size_t name_n, char *ret, size_t size)
{
	for (const char *at = labels; (at = strstr(at, "=\"")); at += 2) {
		const char *end = at + 2;

		while (*end && *end != '"')
			end += 1 + (*end == '\\');
		if (at - labels >= (ptrdiff_t)name_n && memcmp(at - name_n, name, name_n) == 0 &&
		    (at - name_n == labels || at[-(ptrdiff_t)name_n - 1] == ',' ||
		     at[-(ptrdiff_t)name_n - 1] == '{')) {
			snprintf(ret, size, "%.*s", (int)(end - at - 2), at + 2);
			return true;
		}
	}
	return false;
}

/* Our label text from a template and their labels. */
static void fill(const char *template, const char *theirs, char *ret, size_t size)
{
	char value[256];
	size_t used = 0, n;

	while (*template && used + 1 < size) {
		if (*template != '$') {
			ret[used++] = *template ++;
			continue;
		}
		n = strspn(++template, "abcdefghijklmnopqrstuvwxyz");
		if (!label(theirs, template, n, value, sizeof(value)))
			fail_msg("their labels %s have no %.*s", theirs, (int)n, template);
		used += (size_t)snprintf(ret + used, size - used, "%s", value);
		template += n;
	}
	ret[used < size ? used : size - 1] = 0;
}

/* Their name of a metric of ours that comes from a table of fields. */
static bool name_of_field(const struct metric *m, char *ret, size_t size)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		const char *field = m->source + strlen(tables[i].source);
		bool bytes = strcmp(m->name + strlen(m->name) - 6, "_bytes") == 0;
		size_t used;

		if (strncmp(m->source, tables[i].source, strlen(tables[i].source)) != 0)
			continue;
		used = (size_t)snprintf(ret, size, "%s", tables[i].prefix);
		if (strstr(tables[i].source, "snmp6")) /* Ip6InOctets: Ip6_InOctets */
			used += (size_t)snprintf(ret + used, size - used, "%.*s_",
						 (int)(strchr(field, '6') + 1 - field), field),
			    field = strchr(field, '6') + 1;
		for (; *field && used + 1 < size; field++)
			if (*field != ')')
				ret[used++] = *field == ' ' || *field == '(' ? '_' : *field;
		ret[used] = 0;
		/* FRAG's memory is in bytes without being called so */
		if (bytes && !strstr(m->name, "frag"))
			snprintf(ret + used, size - used, "_bytes");
		return true;
	}
	return false;
}

static const struct metric *metric_of_field(const char *theirs)
{
	char name[128];

	for (const struct metric *m = __start_trimtab_metrics; m < __stop_trimtab_metrics; m++)
		if (name_of_field(m, name, sizeof(name)) && strcmp(name, theirs) == 0)
			return m;
	return NULL;
}

static bool is_left_out(const char *theirs)
{
	for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
		if (strncmp(theirs, left_out[i][0], strlen(left_out[i][0])) == 0)
			return true;
	return false;
}

struct comparison {
	struct reading before, after;
	unsigned compared, wrong, unknown;
	bool say;
};

static bool agrees(const struct series *a, const struct series *b, double theirs)
{
	double slack = fmax(fabs(theirs), 1) * 1e-9;

	if (a->metric->type == METRIC_GAUGE) /* it can have moved and come back in between */
		slack = fabs(theirs) * 0.05 + (strstr(a->metric->name, "_bytes") ? 4 << 20 : 8);
	else if (strstr(a->metric->name, "_seconds"))
		slack = fmax(slack, 0.005); /* idle time can step back by a tick of the clock */
	return theirs >= fmin(a->value, b->value) - slack &&
	       theirs <= fmax(a->value, b->value) + slack;
}

static void compare(struct comparison *c, const char *name, const char *their_labels,
		    const char *labels, double theirs)
{
	const struct series *a = store_find(c->before.store, NOW, name, labels);
	const struct series *b = store_find(c->after.store, NOW, name, labels);

	c->compared++;
	if (a && b && agrees(a, b, theirs))
		return;
	c->wrong++;
	if (c->say)
		print_error("%s{%s} (theirs: %s): before %.17g, theirs %.17g, after %.17g\n", name,
			    labels, their_labels, a ? a->value : NAN, theirs, b ? b->value : NAN);
}

/* A name, labels in braces or nothing, a value. */
static void compare_line(struct comparison *c, char *line)
{
	char *value = strrchr(line, ' '), *labels = strchr(line, '{'), ours[512];
	const struct metric *field;
	double theirs;

	if (*line == '#' || !value)
		return;
	theirs = strtod(value, NULL);
	*value = 0;
	if (labels)
		*labels++ = 0;
	for (size_t i = 0; i < SAME; i++) {
		if (strcmp(line, same[i].theirs) != 0)
			continue;
		if (!same[i].ours)
			return;
		fill(same[i].labels, labels ? labels : "", ours, sizeof(ours));
		compare(c, same[i].ours, labels ? labels : "", ours, theirs * same[i].scale);
		return;
	}
	field = metric_of_field(line);
	if (field)
		compare(c, field->name, "", "",
			theirs * (strncmp(line, "node_vmstat_pgpg", 16) == 0 ? 1024 : 1));
	else if (!is_left_out(line)) {
		c->unknown++;
		print_error("%s: no metric of ours, and not in the table of what is left out\n",
			    line);
	}
}

static void same_figures(void **state)
{
	struct exporter *e = *state;
	struct comparison c;

	if (e->pid == 0)
		skip();
	for (unsigned i = 1;; i++) {
		c = (struct comparison){.say = i == ATTEMPTS};
		c.before = read_ours();
		assert_true(fetch(e));
		c.after = read_ours();
		for (char *line = strtok(strstr(e->page, "\r\n\r\n"), "\r\n"); line;
		     line = strtok(NULL, "\r\n"))
			compare_line(&c, line);
		reading_free(&c.before);
		reading_free(&c.after);
		assert_int_equal(c.unknown, 0);
		if (c.wrong == 0 || i == ATTEMPTS)
			break;
	}
	print_message("%u figures compared\n", c.compared);
	assert_int_equal(c.wrong, 0);
	assert_true(c.compared > 150);
}

static void arp_entries_add_up(void **state)
{
	struct exporter *e = *state;
	const struct series *s;
	struct reading ours;
	double sum = 0;

	if (e->pid == 0)
		skip();
	assert_true(fetch(e));
	ours = read_ours();
	for (const char *at = e->page; (at = strstr(at, "\nnode_arp_entries{"));)
		sum += strtod(strchr(at, '}') + 1, NULL), at++;
	s = store_find(ours.store, NOW, "trimtab_arp_entries", "");
	assert_non_null(s);
	/* ours counts the kernel's own entries (multicast, loopback) too */
	assert_true(s->value >= sum);
	reading_free(&ours);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_figures),
	    cmocka_unit_test(arp_entries_add_up),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
