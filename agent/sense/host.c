/* host.c - the module "host": runs the parts that read the node's basics into the store.
 *
 * Purpose: what people watch of a node without BPF (CPU, memory, pressure, disks, file systems,
 * network, kernel limits), so that it needs no second agent. Inputs: /proc and /sys, as any
 * unprivileged user may read them. Bounds and cost: see host.h.
 */
#include "host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core/agent.h"
#include "probe_series.h"
#include "sense.h"

static const char *const reasons[HOST_LOSSES] = {
    [HOST_LOST_DISKS] = "too_many_disks",
    [HOST_LOST_MOUNTS] = "too_many_mounts",
    [HOST_LOST_DEVICES] = "too_many_network_devices",
    [HOST_LOST_SENSORS] = "too_many_sensors",
    [HOST_LOST_TEXT] = "file_too_long",
    [HOST_LOST_STUCK] = "filesystem_stuck",
};

static const struct host_part *const parts[] = {
    &host_cpu_part,	   &host_memory_part,  &host_pressure_part, &host_disk_part,
    &host_filesystem_part, &host_network_part, &host_link_part,	    &host_netstat_part,
    &host_kernel_part,	   &host_node_part,    &host_sensor_part,
};

#define PARTS (sizeof(parts) / sizeof(parts[0]))

const char *host_field(const struct metric *m)
{
	return strchr(m->source, ' ') + 1;
}

static const char *environment(const char *name, const char *fallback)
{
	const char *value = getenv(name);

	return value && value[0] == '/' ? value : fallback;
}

struct host_paths host_paths_of_environment(void)
{
	return (struct host_paths){.proc = environment("HOST_PROC", "/proc"),
				   .sys = environment("HOST_SYS", "/sys"),
				   .root = environment("HOST_ROOT", "")};
}

struct host *host_new(struct store *store, const struct host_paths *paths)
{
	struct host *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->store = store;
	h->paths = *paths;
	h->statvfs = statvfs;
	host_file_init(h);
	h->buffer = malloc(HOST_BUFFER_BYTES);
	if (!h->buffer)
		goto fail;
	for (size_t i = 0; i < PARTS; i++)
		if (parts[i]->init && parts[i]->init(h) < 0)
			goto fail;
	return h;
fail:
	host_free(h);
	return NULL;
}

void host_free(struct host *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < PARTS; i++)
		if (parts[i]->fini)
			parts[i]->fini(h);
	host_file_close(h);
	host_ignore_free(&h->ignore_mounts);
	host_ignore_free(&h->ignore_devices);
	free(h->buffer);
	free(h);
}

void host_tick(struct host *h, const struct host_options *options, uint64_t now_ns)
{
	host_ignore_update(&h->ignore_mounts, options->ignore_mounts);
	host_ignore_update(&h->ignore_devices, options->ignore_devices);
	h->period_ns = options->period_ns;
	h->now_ns = now_ns;
	h->slow = !h->slow_ns || now_ns - h->slow_ns + options->period_ns >= HOST_SLOW_NS;
	if (h->slow)
		h->slow_ns = now_ns;
	for (size_t i = 0; i < PARTS; i++)
		if (h->slow || !parts[i]->slow)
			parts[i]->tick(h);
	for (size_t i = 0; i < HOST_LOSSES; i++)
		if (h->lost[i])
			host_set(h, &lost_metric, (double)h->lost[i], "probe", "host", "reason",
				 reasons[i]);
}

static int init(struct agent *a, void **ret_state)
{
	struct host_paths paths = host_paths_of_environment();
	struct host_text text;
	char path[HOST_PATH_MAX];
	struct host *h;
	int err;

	if (!a->config->host.enabled) {
		agent_reason(a, "host.enabled is false");
		return -ENOTSUP;
	}
	h = host_new(a->store, &paths);
	if (!h)
		return -ENOMEM;
	err = host_file_read(h, HOST_STAT, &text);
	if (err < 0) {
		host_file_path(h, HOST_STAT, path, sizeof(path));
		agent_reason(a, "cannot read %s: %s; mount /proc, or set HOST_PROC to its place",
			     path, strerror(-err));
		host_free(h);
		return -ENOTSUP;
	}
	*ret_state = h;
	return 0;
}

static int tick(struct agent *a, void *state, uint64_t now_ns)
{
	const struct host_options options = {
	    .ignore_mounts = a->config->host.ignore_mounts,
	    .ignore_devices = a->config->host.ignore_devices,
	    .period_ns = a->config->agent.period_ms * 1000000,
	};

	host_tick(state, &options, now_ns);
	return 0;
}

static void fini(struct agent *a, void *state)
{
	host_free(state);
}

const struct module host_module = {
    .name = "host",
    .about = "CPU, memory, pressure, disks, file systems, network and limits of the node",
    .roles = ROLE_AGENT,
    .period_ms = 2000,
    .init = init,
    .tick = tick,
    .fini = fini,
};
