/* host_node.c - what this node is: name, kernel, distribution; its CPUs' frequencies.
 *
 * Inputs: uname(2), ROOT/etc/os-release, SYS/devices/system/cpu/cpuN/cpufreq, at each slow tick.
 * Bounds: HOST_CPUS CPUs. Cost: 20 us, and 6 us a CPU that tells its frequency.
 */
#include "host.h"

#include <stdio.h>
#include <sys/utsname.h>

enum { INFO, FREQUENCY, FREQUENCY_MAX, METRICS };

static const struct metric metrics[METRICS] METRIC = {
    [INFO] = {"trimtab_node_info", METRIC_GAUGE,
	      "nodename,sysname,release,version,machine,os,os_id,os_version",
	      "Always 1; what the node is.", "uname, /etc/os-release"},
    [FREQUENCY] = {"trimtab_cpu_frequency_hertz", METRIC_GAUGE, "cpu",
		   "Frequency at which a CPU runs.",
		   "/sys/devices/system/cpu/cpuN/cpufreq/scaling_cur_freq"},
    [FREQUENCY_MAX] = {"trimtab_cpu_frequency_max_hertz", METRIC_GAUGE, "cpu",
		       "Frequency that a CPU may run at.",
		       "/sys/devices/system/cpu/cpuN/cpufreq/scaling_max_freq"},
};

struct os {
	char name[64], id[32], version[32];
};

/* value: as in a shell assignment; quotes around it are taken off, escapes are left as they are */
static void copy_unquoted(struct host_text value, char *ret, size_t size)
{
	if (value.end - value.at >= 2 && (*value.at == '"' || *value.at == '\'') &&
	    value.end[-1] == *value.at) {
		value.at++;
		value.end--;
	}
	host_text_copy(value, ret, size);
}

static void read_os(const struct host *h, struct os *ret)
{
	char path[HOST_PATH_MAX];
	struct host_text text, line;

	snprintf(path, sizeof(path), "%s/etc/os-release", h->paths.root);
	if (host_file_slurp(path, h->buffer, HOST_BUFFER_BYTES, &text) < 0)
		return;
	while (host_text_line(&text, &line)) {
		if (host_text_prefix(&line, "PRETTY_NAME="))
			copy_unquoted(line, ret->name, sizeof(ret->name));
		else if (host_text_prefix(&line, "ID="))
			copy_unquoted(line, ret->id, sizeof(ret->id));
		else if (host_text_prefix(&line, "VERSION_ID="))
			copy_unquoted(line, ret->version, sizeof(ret->version));
	}
}

static void set_info(struct host *h)
{
	struct utsname u;
	struct os os = {0};

	if (uname(&u) < 0)
		return;
	read_os(h, &os);
	host_set(h, &metrics[INFO], 1, "nodename", u.nodename, "sysname", u.sysname, "release",
		 u.release, "version", u.version, "machine", u.machine, "os", os.name, "os_id",
		 os.id, "os_version", os.version);
}

static void set_frequencies(struct host *h)
{
	char folder[HOST_PATH_MAX], cpu[16];
	double khz;

	for (unsigned i = 0; i < HOST_CPUS; i++) {
		snprintf(cpu, sizeof(cpu), "%u", i);
		snprintf(folder, sizeof(folder), "%s/devices/system/cpu/cpu%u/cpufreq",
			 h->paths.sys, i);
		if (host_file_number(folder, "scaling_cur_freq", &khz) < 0) {
			if (i == 0)
				return; /* no CPU here tells: usual in virtual machines */
			continue;
		}
		host_set(h, &metrics[FREQUENCY], khz * 1e3, "cpu", cpu);
		if (host_file_number(folder, "scaling_max_freq", &khz) == 0)
			host_set(h, &metrics[FREQUENCY_MAX], khz * 1e3, "cpu", cpu);
	}
}

static void node_tick(struct host *h)
{
	set_info(h);
	set_frequencies(h);
}

const struct host_part host_node_part = {
    .name = "node",
    .slow = true,
    .tick = node_tick,
};
