/* disk.c - reads the disk probe's array: queue and device time, bytes and errors by device and
 * operation.
 *
 * Source: BPF array mapped by the keeper; one readlink under /sys for each device met. Bounds:
 * DISK_DEVICES devices, further ones share device="other".
 */
#include "sense.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/agent.h"
#include "core/probes.h"
#include "maps.h"
#include "probe_series.h"
#include "store/quantile.h"

static const struct metric DURATION METRIC = {
    "trimtab_block_io_duration_seconds", METRIC_HISTOGRAM, "device,op,stage",
    "Time of a block I/O request: stage queue is from its allocation to its issue to the driver, "
    "device from the issue to the completion. Every request is counted.",
    "tp_btf/block_rq_complete, tp_btf/block_rq_issue"};
static const struct metric BYTES METRIC = {"trimtab_block_io_bytes_total", METRIC_COUNTER,
					   "device,op", "Bytes of block I/O completed.",
					   "tp_btf/block_rq_complete"};
static const struct metric ERRORS METRIC = {"trimtab_block_io_errors_total", METRIC_COUNTER,
					    "device,op",
					    "Completions of block I/O that carried an error.",
					    "tp_btf/block_rq_complete"};

static const char *const ops[DISK_OPS] = {[DISK_READ] = "read",
					  [DISK_WRITE] = "write",
					  [DISK_FLUSH] = "flush",
					  [DISK_DISCARD] = "discard",
					  [DISK_PASSTHROUGH] = "passthrough"};

struct disk_source {
	struct {
		uint32_t dev;
		char name[32];
	} known[DISK_DEVICES];
};

/* The name of a slot's device, "vda"; its numbers if it has gone before it was looked up. */
static const char *name_of(struct disk_source *s, uint32_t slot, uint32_t dev)
{
	char path[64], target[256], *name;
	ssize_t n;

	if (slot == 0)
		return "other";
	if (s->known[slot].dev == dev)
		return s->known[slot].name;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", dev >> 20, dev & 0xfffff);
	n = readlink(path, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	name = strrchr(target, '/');
	if (name)
		snprintf(s->known[slot].name, sizeof(s->known[slot].name), "%.31s", name + 1);
	else
		snprintf(s->known[slot].name, sizeof(s->known[slot].name), "%u:%u", dev >> 20,
			 dev & 0xfffff);
	s->known[slot].dev = dev;
	return s->known[slot].name;
}

static void write_stage(struct agent *a, const struct hist *from, const char *device,
			const char *op, const char *stage, uint64_t now)
{
	struct hist *h;

	if (!hist_samples(from))
		return;
	h = store_hist(a->store, &DURATION, now, "device", device, "op", op, "stage", stage, NULL);
	if (h)
		*h = *from;
}

static void write_device(struct agent *a, const struct disk_device *d, const char *name,
			 uint64_t now)
{
	for (int op = 0; op < DISK_OPS; op++) {
		const struct disk_op_stats *s = &d->op[op];

		write_stage(a, &s->queue, name, ops[op], "queue", now);
		write_stage(a, &s->device, name, ops[op], "device", now);
		if (!s->bytes && !s->errors && !hist_samples(&s->device))
			continue;
		store_set(a->store, &BYTES, now, s->bytes, "device", name, "op", ops[op], NULL);
		store_set(a->store, &ERRORS, now, s->errors, "device", name, "op", ops[op], NULL);
	}
}

static int tick(struct agent *a, void *state, uint64_t now)
{
	struct disk_source *s = state;
	uint64_t no_issue = 0, no_start = 0;

	for (uint32_t i = 0; i < DISK_DEVICES; i++) {
		const struct disk_device *d = &a->maps->disk_devices[i];

		if (i > 0 && !d->dev)
			continue;
		write_device(a, d, name_of(s, i, d->dev), now);
		no_issue += d->no_issue_time;
		no_start += d->no_start_time;
	}
	store_end(a->store, &DURATION, now);
	store_end(a->store, &BYTES, now);
	store_end(a->store, &ERRORS, now);
	store_set(a->store, &lost_metric, now, no_issue, "probe", "disk", "reason", "no_issue_time",
		  NULL);
	store_set(a->store, &lost_metric, now, no_start, "probe", "disk", "reason", "iostats_off",
		  NULL);
	return 0;
}

static int init(struct agent *a, void **ret_state)
{
	if (!a->maps->disk_devices) {
		agent_reason(a, "the disk probe is not loaded");
		return -ENOTSUP;
	}
	*ret_state = calloc(1, sizeof(struct disk_source));
	return *ret_state ? 0 : -ENOMEM;
}

static void fini(struct agent *a, void *state)
{
	free(state);
}

const struct module disk_module = {
    .name = "disk",
    .about = "block I/O: queue and device time, bytes, errors",
    .roles = ROLE_AGENT,
    .period_ms = 2000,
    .init = init,
    .tick = tick,
    .fini = fini,
};
