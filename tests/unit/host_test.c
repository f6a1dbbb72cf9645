/* host_test.c - the host basics from a folder of false /proc and /sys files: figures, bounds,
 * absent, malformed and truncated content, file systems that do not answer. The clock is a number.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>
#include <cmocka.h>
#include "core/agent.h"
#include "host_fixture.h"
#include "sense/host.h"
#include "sense/sense.h"

#define PERIOD (2 * SECOND)
#define START (1000 * SECOND)

struct host_test {
	struct fixture f;
	struct host_paths paths;
	struct host_options options;
	struct host *host;
	uint64_t now_ns;
};

static const struct {
	const char *path, *text;
} files[] = {
    {"proc/stat", "cpu  300 20 100 9000 30 1 2 3 4 5\n"
		  "cpu0 100 10 50 4000 10 1 1 1 2 3\n"
		  "cpu1 200 10 50 5000 20 0 1 2 2 2\n"
		  "intr 123456 0 9 88\nctxt 777\nbtime 1700000000\nprocesses 4321\n"
		  "procs_running 3\nprocs_blocked 1\nsoftirq 9999 1 2 3\n"},
    {"proc/loadavg", "0.52 1.25 10.00 2/345 9876\n"},
    {"proc/uptime", "1234.56 2000.00\n"},
    {"proc/meminfo", "MemTotal:       1000 kB\nMemFree:         200 kB\n"
		     "MemAvailable:    500 kB\nActive(anon):      7 kB\n"
		     "HugePages_Total:       3\nSomethingNew: 5 kB\n"},
    {"proc/vmstat", "nr_free_pages 5\npgpgin 10\npswpin 2\npgfault 1000\npgmajfault 11\n"
		    "oom_kill 4\n"},
    {"proc/pressure/cpu", "some avg10=1.50 avg60=0.00 avg300=0.00 total=2500000\n"},
    {"proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=10\n"
			     "full avg10=99.99 avg60=0.00 avg300=0.00 total=5\n"},
    {"proc/diskstats", " 254 0 vda 10 1 16 500 20 2 32 600 3 700 800 5 4 64 50 6 9\n"
		       "   7 0 loop0 1 0 2 3 4 5 6 7 8 9 10\n"},
    {"proc/net/dev", "Inter-|   Receive    |  Transmit\n face |bytes packets\n"
		     "    lo: 10 1 0 0 0 0 0 0 10 1 0 0 0 0 0 0\n"
		     "  eth0:100 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"},
    {"proc/net/snmp", "Tcp: RtoMin MaxConn ActiveOpens CurrEstab RetransSegs\n"
		      "Tcp: 200 -1 5 6 7\n"
		      "Udp: InDatagrams NoPorts\nUdp: 8 9\n"},
    {"proc/net/netstat", "TcpExt: ListenOverflows ListenDrops\nTcpExt: 21 22\n"
			 "IpExt: InOctets\nIpExt: 12345678901234\n"},
    {"proc/net/snmp6", "Ip6InOctets      \t31\nUdp6NoPorts 32\n"},
    {"proc/net/sockstat", "sockets: used 40\nTCP: inuse 4 orphan 1 tw 2 alloc 5 mem 3\n"},
    {"proc/net/softnet_stat", "00000010 00000001 00000002 0 0 0 0 0 0 0 0 00000000 00000000\n"
			      "000000ff 00000000 00000000 0 0 0 0 0 0 0 0 00000000 00000001\n"},
    {"proc/net/stat/arp_cache", "entries  allocs table_fulls\n0000000a 1 2\n0000000a 1 3\n"},
    {"proc/net/stat/nf_conntrack",
     "entries found drop early_drop insert_failed invalid\n5 0 1 2 3 4\n5 0 f 0 0 0\n"},
    {"proc/sys/net/netfilter/nf_conntrack_count", "55\n"},
    {"proc/sys/net/netfilter/nf_conntrack_max", "262144\n"},
    {"proc/sys/fs/file-nr", "602\t0\t9223372036854775807\n"},
    {"proc/sys/kernel/random/entropy_avail", "256\n"},
    {"proc/self/mountinfo", "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"
			    "28 27 254:1 / /data\\040disk rw - xfs /dev/vdb ro\n"
			    "29 27 0:21 / /proc rw - proc proc rw\n"
			    "30 27 254:2 / /skip/me rw - ext4 /dev/vdc rw\n"},
    {"sys/class/net/eth0/mtu", "1400\n"},
    {"sys/class/net/eth0/speed", "10000\n"},
    {"sys/class/net/eth0/carrier", "1\n"},
    {"sys/class/net/eth0/operstate", "up\n"},
    {"sys/class/net/lo/speed", "-1\n"},
    {"sys/class/net/lo/operstate", "unknown\n"},
    {"sys/class/hwmon/hwmon0/name", "coretemp\n"},
    {"sys/class/hwmon/hwmon0/temp1_input", "45500\n"},
    {"sys/class/hwmon/hwmon0/temp1_label", "Package id 0\n"},
    {"sys/class/hwmon/hwmon1/name", "slowbus\n"},
    {"sys/class/hwmon/hwmon1/temp1_input", "1000\n"},
    {"sys/class/thermal/thermal_zone0/type", "acpitz\n"},
    {"sys/class/thermal/thermal_zone0/temp", "-5000\n"},
    {"sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "2400000\n"},
    {"etc/os-release", "PRETTY_NAME=\"Test OS 1\"\nID=test\nVERSION_ID=\"1\"\n"},
};

#define FILES (sizeof(files) / sizeof(files[0]))

/* every file system has 100 blocks of 4 KiB; "/stuck" blocks until it is let go */
static sem_t let_go;
static atomic_int inside; /* calls that have not returned */

static int false_statvfs(const char *path, struct statvfs *ret)
{
	if (strstr(path, "/stuck")) {
		atomic_fetch_add(&inside, 1);
		while (sem_wait(&let_go) < 0)
			continue;
		atomic_fetch_sub(&inside, 1);
	}
	if (strstr(path, "/denied")) {
		errno = EACCES;
		return -1;
	}
	*ret = (struct statvfs){.f_frsize = 4096,
				.f_blocks = 100,
				.f_bfree = 50,
				.f_bavail = 40,
				.f_files = 30,
				.f_ffree = 20};
	return 0;
}

static struct host *host_of(struct host_test *t)
{
	struct host *h = host_new(t->f.store, &t->paths);

	assert_non_null(h);
	h->statvfs = false_statvfs;
	return h;
}

static int set_up(void **state)
{
	struct host_test *t = calloc(1, sizeof(*t));

	fixture_new(&t->f);
	for (size_t i = 0; i < FILES; i++)
		fixture_write(&t->f, files[i].path, files[i].text);
	t->paths = (struct host_paths){.proc = t->f.proc, .sys = t->f.sys, .root = ""};
	t->options = (struct host_options){
	    .ignore_mounts = "^/skip($|/)", .ignore_devices = "^loop[0-9]+$", .period_ns = PERIOD};
	t->host = host_of(t);
	t->now_ns = START;
	*state = t;
	return 0;
}

static int tear_down(void **state)
{
	struct host_test *t = *state;

	host_free(t->host);
	fixture_free(&t->f);
	free(t);
	return 0;
}

static void tick(struct host_test *t)
{
	host_tick(t->host, &t->options, t->now_ns += PERIOD);
}

static void tick_slow(struct host_test *t)
{
	t->now_ns += HOST_SLOW_NS;
	tick(t);
}

static double value(struct host_test *t, const char *name, const char *labels)
{
	return fixture_value(&t->f, t->now_ns, name, labels);
}

static void figures(void **state)
{
	static const struct {
		const char *name, *labels;
		double value;
	} want[] = {
	    {"trimtab_cpu_seconds_total", "cpu=\"0\",mode=\"user\"", 1},
	    {"trimtab_cpu_seconds_total", "cpu=\"1\",mode=\"idle\"", 50},
	    {"trimtab_cpu_seconds_total", "cpu=\"1\",mode=\"steal\"", 0.02},
	    {"trimtab_cpu_guest_seconds_total", "cpu=\"0\",mode=\"nice\"", 0.03},
	    {"trimtab_cpus", "", 2},
	    {"trimtab_interrupts_total", "", 123456},
	    {"trimtab_softirqs_total", "", 9999},
	    {"trimtab_context_switches_total", "", 777},
	    {"trimtab_boot_time_seconds", "", 1700000000},
	    {"trimtab_forks_total", "", 4321},
	    {"trimtab_processes_running", "", 3},
	    {"trimtab_processes_blocked", "", 1},
	    {"trimtab_load1", "", 0.52},
	    {"trimtab_load5", "", 1.25},
	    {"trimtab_load15", "", 10},
	    {"trimtab_threads", "", 345},
	    {"trimtab_uptime_seconds", "", 1234.56},
	    {"trimtab_memory_total_bytes", "", 1024000},
	    {"trimtab_memory_available_bytes", "", 512000},
	    {"trimtab_memory_active_anon_bytes", "", 7168},
	    {"trimtab_memory_huge_pages", "", 3},
	    {"trimtab_vmstat_paged_in_bytes_total", "", 10240},
	    {"trimtab_vmstat_pswpin_total", "", 2},
	    {"trimtab_vmstat_pgmajfault_total", "", 11},
	    {"trimtab_vmstat_oom_kill_total", "", 4},
	    {"trimtab_pressure_seconds_total", "resource=\"cpu\",kind=\"some\"", 2.5},
	    {"trimtab_pressure_avg10_ratio", "resource=\"cpu\",kind=\"some\"", 0.015},
	    {"trimtab_pressure_avg10_ratio", "resource=\"memory\",kind=\"full\"", 0.9999},
	    {"trimtab_disk_operations_total", "device=\"vda\",op=\"read\"", 10},
	    {"trimtab_disk_bytes_total", "device=\"vda\",op=\"write\"", 32 * 512},
	    {"trimtab_disk_operation_seconds_total", "device=\"vda\",op=\"discard\"", 0.05},
	    {"trimtab_disk_operations_total", "device=\"vda\",op=\"flush\"", 6},
	    {"trimtab_block_io_merged_total", "device=\"vda\",op=\"write\"", 2},
	    {"trimtab_block_io_in_flight", "device=\"vda\"", 3},
	    {"trimtab_disk_io_time_seconds_total", "device=\"vda\"", 0.7},
	    {"trimtab_disk_io_time_weighted_seconds_total", "device=\"vda\"", 0.8},
	    {"trimtab_network_receive_bytes_total", "device=\"eth0\"", 100},
	    {"trimtab_network_receive_multicast_total", "device=\"eth0\"", 8},
	    {"trimtab_network_transmit_bytes_total", "device=\"eth0\"", 9},
	    {"trimtab_network_transmit_carrier_total", "device=\"eth0\"", 15},
	    {"trimtab_network_mtu_bytes", "device=\"eth0\"", 1400},
	    {"trimtab_network_speed_bytes", "device=\"eth0\"", 1.25e9},
	    {"trimtab_network_speed_bytes", "device=\"lo\"", NAN},
	    {"trimtab_network_up", "device=\"eth0\"", 1},
	    {"trimtab_network_up", "device=\"lo\"", 0},
	    {"trimtab_netstat_tcp_retrans_segs_total", "", 7},
	    {"trimtab_netstat_tcp_curr_estab", "", 6},
	    {"trimtab_netstat_udp_no_ports_total", "", 9},
	    {"trimtab_netstat_tcpext_listen_overflows_total", "", 21},
	    {"trimtab_netstat_ipext_in_octets_total", "", 12345678901234},
	    {"trimtab_netstat_ip6_in_octets_total", "", 31},
	    {"trimtab_netstat_udp6_no_ports_total", "", 32},
	    {"trimtab_sockstat_sockets_used", "", 40},
	    {"trimtab_sockstat_tcp_tw", "", 2},
	    {"trimtab_softnet_processed_total", "cpu=\"1\"", 255},
	    {"trimtab_softnet_dropped_total", "cpu=\"0\"", 1},
	    {"trimtab_arp_entries", "", 10},
	    {"trimtab_arp_table_full_total", "", 5},
	    {"trimtab_conntrack_entries", "", 55},
	    {"trimtab_conntrack_entries_max", "", 262144},
	    {"trimtab_conntrack_drop_total", "", 16},
	    {"trimtab_conntrack_insert_failed_total", "", 3},
	    {"trimtab_file_descriptors_allocated", "", 602},
	    {"trimtab_file_descriptors_max", "", 9223372036854775807.0},
	    {"trimtab_entropy_available_bits", "", 256},
	    {"trimtab_entropy_pool_size_bits", "", NAN},
	    {"trimtab_temperature_celsius",
	     "chip=\"coretemp\",device=\"hwmon0\",sensor=\"Package id 0\"", 45.5},
	    {"trimtab_temperature_celsius",
	     "chip=\"thermal\",device=\"thermal_zone0\",sensor=\"acpitz\"", -5},
	    {"trimtab_cpu_frequency_hertz", "cpu=\"0\"", 2.4e9},
	};
	struct host_test *t = *state;

	tick(t);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		double got = value(t, want[i].name, want[i].labels);

		if (isnan(want[i].value)
			? !isnan(got)
			: !(fabs(got - want[i].value) <= want[i].value * 1e-9 + 1e-9))
			if (!(want[i].value < 0 && got == want[i].value))
				fail_msg("%s{%s} is %.17g, not %.17g", want[i].name, want[i].labels,
					 got, want[i].value);
	}
	assert_float_equal(value(t, "trimtab_sockstat_tcp_mem_bytes", ""),
			   3.0 * (double)sysconf(_SC_PAGESIZE), 0);
	/* ignored, and buses that are slow to read */
	assert_true(isnan(value(t, "trimtab_block_io_in_flight", "device=\"loop0\"")));
	assert_int_equal(fixture_count(&t->f, t->now_ns, "trimtab_temperature_celsius"), 2);
	assert_int_equal(fixture_count(&t->f, t->now_ns, "trimtab_node_info"), 1);
	assert_int_equal(fixture_count(&t->f, t->now_ns, "trimtab_lost_total"), 0);
}

static void file_systems(void **state)
{
	struct host_test *t = *state;
	const char *root = "device=\"/dev/vda\",mountpoint=\"/\",fstype=\"ext4\"";
	const char *data = "device=\"/dev/vdb\",mountpoint=\"/data disk\",fstype=\"xfs\"";

	tick(t);
	assert_float_equal(value(t, "trimtab_filesystem_size_bytes", root), 409600, 0);
	assert_float_equal(value(t, "trimtab_filesystem_avail_bytes", root), 163840, 0);
	assert_float_equal(value(t, "trimtab_filesystem_files_free", root), 20, 0);
	assert_float_equal(value(t, "trimtab_filesystem_readonly", root), 0, 0);
	assert_float_equal(value(t, "trimtab_filesystem_readonly", data), 1, 0);
	assert_int_equal(fixture_count(&t->f, t->now_ns, "trimtab_filesystem_size_bytes"), 2);
}

static void a_later_mount_hides_an_earlier_one(void **state)
{
	struct host_test *t = *state;

	fixture_write(&t->f, "proc/self/mountinfo",
		      "1 1 8:1 / /a rw - ext4 /dev/sda1 rw\n2 1 8:2 / /a rw - xfs /dev/sdb1 rw\n"
		      "3 1 8:3 / /denied rw - ext4 /dev/sdc1 rw\n");
	tick(t);
	assert_int_equal(fixture_count(&t->f, t->now_ns, "trimtab_filesystem_size_bytes"), 1);
	assert_float_equal(value(t, "trimtab_filesystem_device_error",
				 "device=\"/dev/sdb1\",mountpoint=\"/a\",fstype=\"xfs\""),
			   0, 0);
	assert_float_equal(value(t, "trimtab_filesystem_device_error",
				 "device=\"/dev/sdc1\",mountpoint=\"/denied\",fstype=\"ext4\""),
			   1, 0);
}

static void mounts_of_the_node_seen_from_a_container(void **state)
{
	struct host_test *t = *state;

	fixture_write(
	    &t->f, "proc/self/mountinfo",
	    "1 1 8:1 / / rw - overlay overlay rw\n2 1 8:2 / /host rw - ext4 /dev/sda1 rw\n"
	    "3 1 8:3 / /host/data rw - xfs /dev/sdb1 rw\n"
	    "4 1 8:4 / /hostile rw - ext4 /dev/sdc1 rw\n");
	t->host->paths.root = "/host";
	tick(t);
	assert_int_equal(fixture_count(&t->f, t->now_ns, "trimtab_filesystem_size_bytes"), 2);
	assert_false(isnan(value(t, "trimtab_filesystem_size_bytes",
				 "device=\"/dev/sda1\",mountpoint=\"/\",fstype=\"ext4\"")));
	assert_false(isnan(value(t, "trimtab_filesystem_size_bytes",
				 "device=\"/dev/sdb1\",mountpoint=\"/data\",fstype=\"xfs\"")));
}

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static bool wait_a_little(uint64_t deadline_ns)
{
	const struct timespec nap = {.tv_nsec = 1000000};

	nanosleep(&nap, NULL);
	return clock_ns() < deadline_ns;
}

/* Ticks until the series has the value: the thread's answer comes when it comes. */
static void await_value(struct host_test *t, const char *name, const char *labels, double want)
{
	uint64_t deadline_ns = clock_ns() + 20 * SECOND;

	do {
		host_tick(t->host, &t->options, t->now_ns += SECOND / 1000);
		if (value(t, name, labels) == want)
			return;
	} while (wait_a_little(deadline_ns));
	fail_msg("%s{%s} did not become %g", name, labels, want);
}

static void await_inside(int want)
{
	uint64_t deadline_ns = clock_ns() + 20 * SECOND;

	while (atomic_load(&inside) != want)
		assert_true(wait_a_little(deadline_ns));
}

static void a_dead_server_holds_nobody_up(void **state)
{
	const char *stuck = "device=\"srv:/x\",mountpoint=\"/stuck\",fstype=\"nfs4\"";
	const char *below = "device=\"/dev/sdb1\",mountpoint=\"/stuck/local\",fstype=\"ext4\"";
	const char *lost = "probe=\"host\",reason=\"filesystem_stuck\"";
	struct host_test *t = *state;

	fixture_write(&t->f, "proc/self/mountinfo",
		      "1 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
		      "2 1 8:2 / /stuck rw - nfs4 srv:/x rw\n"
		      "3 1 8:3 / /stuck/local rw - ext4 /dev/sdb1 rw\n");
	tick(t); /* would hang here */
	assert_false(isnan(value(t, "trimtab_filesystem_size_bytes",
				 "device=\"/dev/sda1\",mountpoint=\"/\",fstype=\"ext4\"")));
	assert_true(isnan(value(t, "trimtab_filesystem_device_error", stuck)));
	tick_slow(t);
	assert_float_equal(value(t, "trimtab_filesystem_device_error", stuck), 1, 0);
	/* its path leads through the dead one */
	assert_float_equal(value(t, "trimtab_filesystem_device_error", below), 1, 0);
	assert_float_equal(value(t, "trimtab_lost_total", lost), 2, 0);
	tick_slow(t);
	assert_float_equal(value(t, "trimtab_lost_total", lost), 4, 0);
	sem_post(&let_go);
	sem_post(&let_go);
	await_value(t, "trimtab_filesystem_device_error", stuck, 0);
	await_value(t, "trimtab_filesystem_size_bytes", below, 409600);
	await_inside(0);
}

static void a_stuck_thread_outlives_the_host(void **state)
{
	struct host_test *t = *state;

	fixture_write(&t->f, "proc/self/mountinfo", "2 1 8:2 / /stuck rw - nfs4 srv:/x rw\n");
	tick(t);
	await_inside(1);
	host_free(t->host);
	t->host = NULL;
	sem_post(&let_go); /* it reads and frees its own copy, or the sanitizer says so */
	await_inside(0);
}

static void many_cpus_are_summed(void **state)
{
	struct host_test *t = *state;
	char text[32768];
	size_t used = 0;

	for (unsigned i = 0; i < 200; i++)
		used +=
		    (size_t)snprintf(text + used, sizeof(text) - used, "cpu%u 100 0 %u\n", i, i);
	fixture_write(&t->f, "proc/stat", text);
	tick(t);
	assert_float_equal(value(t, "trimtab_cpus", ""), 200, 0);
	assert_int_equal(fixture_count(&t->f, t->now_ns, "trimtab_cpu_seconds_total"), 65 * 8);
	assert_float_equal(value(t, "trimtab_cpu_seconds_total", "cpu=\"other\",mode=\"user\""),
			   136, 1e-9);
	assert_float_equal(value(t, "trimtab_cpu_seconds_total", "cpu=\"63\",mode=\"system\""),
			   0.63, 1e-9);
}

static void idle_time_does_not_step_back(void **state)
{
	const char *idle = "cpu=\"0\",mode=\"idle\"";
	struct host_test *t = *state;

	fixture_write(&t->f, "proc/stat", "cpu0 0 0 0 1000\n");
	tick(t);
	fixture_write(&t->f, "proc/stat", "cpu0 0 0 0 998\n");
	tick(t);
	assert_float_equal(value(t, "trimtab_cpu_seconds_total", idle), 10, 1e-9);
	fixture_write(&t->f, "proc/stat", "cpu0 0 0 0 1001\n");
	tick(t);
	/* not counted twice */
	assert_float_equal(value(t, "trimtab_cpu_seconds_total", idle), 10.01, 1e-9);
}

static void bounds_count_what_they_leave_out(void **state)
{
	struct host_test *t = *state;
	char disks[32768], devices[32768], mounts[65536];
	size_t a = 0, b = 0, c = 0;

	for (unsigned i = 0; i < 100; i++) {
		a += (size_t)snprintf(disks + a, sizeof(disks) - a,
				      "8 %u sd%u 1 2 3 4 5 6 7 8 9 10 11\n", i, i);
		b += (size_t)snprintf(devices + b, sizeof(devices) - b,
				      "veth%u: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n", i);
		c += (size_t)snprintf(mounts + c, sizeof(mounts) - c,
				      "%u 1 8:%u / /m%u rw - ext4 /dev/sd%u rw\n", i, i, i, i);
	}
	fixture_write(&t->f, "proc/diskstats", disks);
	fixture_write(&t->f, "proc/net/dev", devices);
	fixture_write(&t->f, "proc/self/mountinfo", mounts);
	tick(t);
	assert_int_equal(fixture_count(&t->f, t->now_ns, "trimtab_block_io_in_flight"), 64);
	assert_int_equal(fixture_count(&t->f, t->now_ns, "trimtab_network_receive_bytes_total"),
			 64);
	assert_int_equal(fixture_count(&t->f, t->now_ns, "trimtab_filesystem_size_bytes"), 64);
	tick(t);
	assert_float_equal(
	    value(t, "trimtab_lost_total", "probe=\"host\",reason=\"too_many_disks\""), 72, 0);
	assert_float_equal(value(t, "trimtab_lost_total",
				 "probe=\"host\",reason=\"too_many_network_devices\""),
			   72, 0);
	assert_float_equal(
	    value(t, "trimtab_lost_total", "probe=\"host\",reason=\"too_many_mounts\""), 36, 0);
}

static void a_file_too_long_is_used_up_to_its_last_line(void **state)
{
	struct host_test *t = *state;
	size_t bytes = 2 * HOST_BUFFER_BYTES;
	char *text = malloc(bytes);

	memset(text, '7', bytes);
	memcpy(text, "ctxt 5\nbtime ", 13);
	fixture_bytes(&t->f, "proc/stat", text, bytes);
	free(text);
	tick(t);
	assert_float_equal(value(t, "trimtab_context_switches_total", ""), 5, 0);
	assert_true(isnan(value(t, "trimtab_boot_time_seconds", "")));
	assert_float_equal(
	    value(t, "trimtab_lost_total", "probe=\"host\",reason=\"file_too_long\""), 1, 0);
}

static void the_pattern_can_change(void **state)
{
	struct host_test *t = *state;

	tick(t);
	t->options.ignore_devices = "^vda$";
	t->now_ns += 2 * STORE_STALE_NS;
	tick(t);
	assert_false(isnan(value(t, "trimtab_block_io_in_flight", "device=\"loop0\"")));
	assert_true(isnan(value(t, "trimtab_block_io_in_flight", "device=\"vda\"")));
	t->options.ignore_devices = NULL;
	tick(t);
	assert_false(isnan(value(t, "trimtab_block_io_in_flight", "device=\"vda\"")));
}

static void absent_files_leave_series_out(void **state)
{
	struct host_test *t = *state;
	char path[256];

	for (size_t i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "%s/%s", t->f.root, files[i].path);
		assert_int_equal(unlink(path), 0);
	}
	tick(t);
	assert_true(isnan(value(t, "trimtab_load1", "")));
	assert_true(isnan(value(t, "trimtab_conntrack_entries", "")));
	/* a module that is loaded later */
	fixture_write(&t->f, "proc/sys/net/netfilter/nf_conntrack_count", "9\n");
	tick_slow(t);
	assert_float_equal(value(t, "trimtab_conntrack_entries", ""), 9, 0);
}

static void series_stay_fresh_at_any_period(void **state)
{
	static const uint64_t periods[] = {SECOND / 2, 2 * SECOND, 3 * SECOND, 5 * SECOND,
					   7 * SECOND, 8 * SECOND, 14 * SECOND};
	struct host_test *t = *state;
	unsigned before;

	for (size_t p = 0; p < sizeof(periods) / sizeof(periods[0]); p++) {
		t->options.period_ns = periods[p];
		tick_slow(t);
		before = fixture_count(&t->f, t->now_ns, NULL);
		for (unsigned i = 0; i < 40; i++) {
			t->now_ns += periods[p];
			/* as a scrape just before the tick sees it */
			assert_int_equal(fixture_count(&t->f, t->now_ns - 1, NULL), before);
			host_tick(t->host, &t->options, t->now_ns);
		}
	}
}

static void all_finite(struct host_test *t)
{
	const struct series *s;
	size_t cursor = 0;

	while ((s = store_next(t->f.store, t->now_ns, &cursor)))
		assert_true(isfinite(s->value));
}

static void truncated_anywhere(void **state)
{
	struct host_test *t = *state;

	for (size_t i = 0; i < FILES; i++) {
		for (size_t n = 0; n < strlen(files[i].text); n += 3) {
			fixture_bytes(&t->f, files[i].path, files[i].text, n);
			tick_slow(t);
			all_finite(t);
		}
		fixture_write(&t->f, files[i].path, files[i].text);
	}
	tick_slow(t);
	assert_float_equal(value(t, "trimtab_load1", ""), 0.52, 1e-9);
}

static void nonsense_gives_no_figures(void **state)
{
	static const char *const nonsense[] = {
	    "\n\n\n",
	    ":::::\n: : :\n",
	    "cpu\ncpu \ncpux 1 2 3\ncpu-1 2 3\n",
	    "- - - - - - - -\n",
	    "99999999999999999999999999 99999999999999999999999999: 99999999999999999999999999\n",
	    "\xff\xfe\x01\x02 \xff 1 2 3\n",
	    "Tcp:\nTcp:\n",
	    "Tcp: RetransSegs\nUdp: 1\n",
	    "some\nsome total=\nsome total=x avg10=y\nnone total=1\n",
	    "1 1 1:1 / /x rw - \n",
	};
	struct host_test *t = *state;

	for (size_t n = 0; n < sizeof(nonsense) / sizeof(nonsense[0]); n++) {
		for (size_t i = 0; i < FILES; i++)
			fixture_write(&t->f, files[i].path, nonsense[n]);
		tick_slow(t);
		all_finite(t);
		assert_true(isnan(value(t, "trimtab_netstat_tcp_retrans_segs_total", "")));
		assert_true(isnan(value(t, "trimtab_memory_total_bytes", "")));
		assert_true(isnan(
		    value(t, "trimtab_pressure_seconds_total", "resource=\"cpu\",kind=\"some\"")));
	}
}

static void huge_numbers_are_held(void **state)
{
	struct host_test *t = *state;

	fixture_write(&t->f, "proc/vmstat", "pgfault 99999999999999999999999999999999\n");
	fixture_write(&t->f, "proc/meminfo", "MemTotal: 18446744073709551616 kB\n");
	tick(t);
	assert_float_equal(value(t, "trimtab_vmstat_pgfault_total", ""), 18446744073709551616.0, 0);
	assert_true(isfinite(value(t, "trimtab_memory_total_bytes", "")));
}

static void no_proc_is_said(void **state)
{
	struct host_test *t = *state;
	struct config config = {.host.enabled = true};
	struct module_slot slot = {.module = &host_module};
	struct agent a = {.config = &config, .store = t->f.store, .current = &slot};
	void *module = NULL;
	char path[256];

	snprintf(path, sizeof(path), "%s/proc/stat", t->f.root);
	assert_int_equal(setenv("HOST_PROC", t->f.proc, 1), 0);
	assert_int_equal(host_module.init(&a, &module), 0);
	host_module.fini(&a, module);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(host_module.init(&a, &module), -ENOTSUP);
	assert_non_null(strstr(slot.reason, path));
	config.host.enabled = false;
	assert_int_equal(host_module.init(&a, &module), -ENOTSUP);
	assert_non_null(strstr(slot.reason, "host.enabled"));
	host_module.fini(&a, NULL);
	unsetenv("HOST_PROC");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	    TEST(figures),
	    TEST(file_systems),
	    TEST(a_later_mount_hides_an_earlier_one),
	    TEST(mounts_of_the_node_seen_from_a_container),
	    TEST(a_dead_server_holds_nobody_up),
	    TEST(a_stuck_thread_outlives_the_host),
	    TEST(many_cpus_are_summed),
	    TEST(idle_time_does_not_step_back),
	    TEST(bounds_count_what_they_leave_out),
	    TEST(a_file_too_long_is_used_up_to_its_last_line),
	    TEST(the_pattern_can_change),
	    TEST(absent_files_leave_series_out),
	    TEST(series_stay_fresh_at_any_period),
	    TEST(truncated_anywhere),
	    TEST(nonsense_gives_no_figures),
	    TEST(huge_numbers_are_held),
	    TEST(no_proc_is_said),
	};

	sem_init(&let_go, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
