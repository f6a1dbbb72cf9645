/* disk.bpf.c - block I/O: queue and device time, bytes and errors per device and operation. Exact.
 *
 * One hook suffices where the kernel stamps a request's issue itself (write-back throttling, an
 * I/O scheduler or an I/O controller asks for it): disk_complete reads both stamps from the request.
 * Where it does not, the issue hook keeps the stamp in a hash by request. The keeper has it attached
 * at the start and as long as some device needs it (core/disk_stamps.c).
 *
 * A request that completes in parts is counted once, with its last part; its bytes as they come.
 */
#include "common.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define OP_MASK 0xff
#define OP_FLUSH 2
#define OP_DISCARD 3
#define OP_SECURE_ERASE 5
#define OP_PASSTHROUGH 32 /* and above: REQ_OP_SCSI_IN .. REQ_OP_DRV_OUT */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, DISK_DEVICES);
	__type(key, __u32);
	__type(value, struct disk_device);
} disk_devices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DISK_DEVICES);
	__type(key, __u32); /* struct disk_device.dev */
	__type(value, __u32);
} disk_ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DISK_DEVICES);
	__type(key, __u32);
	__type(value, __u32);
} disk_owners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* the request's address */
	__type(value, __u64);
} disk_issued SEC(".maps");

static __always_inline enum disk_op op_of(struct request *rq)
{
	unsigned int op = rq->cmd_flags & OP_MASK;

	if (op == OP_FLUSH)
		return DISK_FLUSH;
	if (op == OP_DISCARD || op == OP_SECURE_ERASE)
		return DISK_DISCARD;
	if (op >= OP_PASSTHROUGH)
		return DISK_PASSTHROUGH;
	return op & 1 ? DISK_WRITE : DISK_READ;
}

static __always_inline struct disk_device *device_of(struct request *rq)
{
	struct request___old *old = (void *)rq;
	struct gendisk *disk;
	struct disk_device *d;
	__u32 dev = 0, slot = 0;

	if (bpf_core_field_exists(old->rq_disk))
		disk = old->rq_disk;
	else
		disk = rq->q->disk;
	if (disk) {
		dev = (__u32)disk->major << 20 | (disk->first_minor & 0xfffff);
		slot = slot_of_key(&disk_ids, &disk_owners, dev, DISK_DEVICES);
	}
	d = bpf_map_lookup_elem(&disk_devices, &slot);
	if (d && slot && d->dev != dev)
		d->dev = dev;
	return d;
}

static __always_inline __u64 issue_time(struct disk_device *d, struct request *rq)
{
	__u64 key = (__u64)rq, *issued, ns = rq->io_start_time_ns;

	issued = bpf_map_lookup_elem(&disk_issued, &key);
	if (!issued)
		return ns;
	if (!ns) {
		ns = *issued;
		__sync_fetch_and_add(&d->own_issue_time, 1);
	}
	bpf_map_delete_elem(&disk_issued, &key);
	return ns;
}

SEC("tp_btf/block_rq_complete")
int BPF_PROG(disk_complete, struct request *rq, int error, unsigned int bytes)
{
	__u64 now = bpf_ktime_get_ns(), issue, start = rq->start_time_ns;
	struct disk_device *d = device_of(rq);
	struct disk_op_stats *s;

	if (!d)
		return 0;
	s = &d->op[op_of(rq)];
	__sync_fetch_and_add(&s->bytes, bytes);
	if (error)
		__sync_fetch_and_add(&s->errors, 1);
	if (bytes < rq->__data_len)
		return 0;
	issue = issue_time(d, rq);
	if (!issue) {
		__sync_fetch_and_add(&d->no_issue_time, 1);
		return 0;
	}
	hist_add_atomic(&s->device, now > issue ? now - issue : 0);
	if (start)
		hist_add_atomic(&s->queue, issue > start ? issue - start : 0);
	else
		__sync_fetch_and_add(&d->no_start_time, 1);
	return 0;
}

static __always_inline int issued(struct request *rq)
{
	__u64 key = (__u64)rq, now = bpf_ktime_get_ns();

	bpf_map_update_elem(&disk_issued, &key, &now, BPF_ANY);
	return 0;
}

SEC("tp_btf/block_rq_issue")
int BPF_PROG(disk_issue, struct request *rq)
{
	return issued(rq);
}

/* before 5.11: the queue came first */
SEC("tp_btf/block_rq_issue")
int BPF_PROG(disk_issue_old, struct request_queue *q, struct request *rq)
{
	return issued(rq);
}
