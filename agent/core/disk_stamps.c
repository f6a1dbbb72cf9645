#include "disk_stamps.h"

#include <errno.h>
#include "log.h"
#include "maps.h"

static void look(const struct disk_stamps *d, uint64_t *ret_needed, uint64_t *ret_done)
{
	const struct disk_device *dev = probes_maps(d->probes)->disk_devices;

	*ret_needed = *ret_done = 0;
	for (int i = 0; i < DISK_DEVICES; i++) {
		*ret_needed += dev[i].own_issue_time + dev[i].no_issue_time;
		for (int op = 0; op < DISK_OPS; op++)
			*ret_done += dev[i].op[op].device.sum_ns;
	}
}

static void attach(struct disk_stamps *d, bool on)
{
	int err = probes_attach(d->probes, d->program, on);

	if (err)
		log_warn("keeper", "cannot attach %s: errno %d; the device time of some disks is unknown",
			 d->program, -err);
}

void disk_stamps_init(struct disk_stamps *d, struct probes *p, uint64_t now)
{
	*d = (struct disk_stamps){.probes = p, .due_ns = UINT64_MAX, .program = "disk_issue"};
	if (!probes_maps(p)->disk_devices)
		return;
	if (probes_attach(p, d->program, true) == -ENOENT) {
		d->program = "disk_issue_old";
		attach(d, true);
	}
	d->due_ns = now + DISK_STAMPS_PERIOD_NS;
}

void disk_stamps_run(struct disk_stamps *d, uint64_t now)
{
	uint64_t needed, done;

	if (now < d->due_ns)
		return;
	d->due_ns = now + DISK_STAMPS_PERIOD_NS;
	look(d, &needed, &done);
	if (needed != d->needed)
		attach(d, true);
	else if (done != d->done)
		attach(d, false);
	d->needed = needed;
	d->done = done;
}
