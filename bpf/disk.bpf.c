/* disk.bpf.c - block I/O: queue and device time, bytes and errors per device and operation. Exact.
 *
 * The kernel stamps a request's issue only if write-back throttling, an I/O scheduler or an I/O
 * controller asks for it; where it did not, the stamp of the issue hook serves. That one is kept in
 * an array by the request's address (requests live as long as their device), with a hash behind it
 * for those in flight that share a place.
 *
 * A request that completes in parts is counted once, with its last part; its bytes as they come.
 */
#include "cgroup.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define OP_MASK 0xff
#define OP_WRITE 1
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

#define DISK_STAMPS 16384

struct stamp {
	__u64 request; /* its address; 0: free */
	__u64 ns;
	__u64
	    cgroup; /* slot of the task that issued it: a kernel thread's for written-back pages */
	__u64 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, DISK_STAMPS);
	__type(key, __u32);
	__type(value, struct stamp);
} disk_stamps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64); /* the request's address */
	__type(value, struct stamp);
} disk_spill SEC(".maps");

char disk_base = 0; /* any fixed address of the kernel */

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
		slot = slot_of_key(&disk_ids, &disk_owners, dev, 1, DISK_DEVICES);
	}
	d = bpf_map_lookup_elem(&disk_devices, &slot);
	if (d && slot && d->dev != dev)
		d->dev = dev;
	return d;
}

/* The address as a number: pointers may not be shifted, but the difference of two may. */
static __always_inline __u64 key_of(struct request *rq)
{
	return (char *)rq - (char *)&disk_base;
}

/* Requests are a few hundred bytes apart. */
static __always_inline struct stamp *place_of(__u64 request)
{
	__u32 place = (request >> 7 ^ request >> 21) & (DISK_STAMPS - 1);

	return bpf_map_lookup_elem(&disk_stamps, &place);
}

/* Takes the stamp of a request; all zero if its issue was not seen. */
static __always_inline void take_stamp(__u64 request, struct stamp *ret)
{
	struct stamp *s = place_of(request);

	if (s && likely(s->request == request)) {
		*ret = *s;
		s->request = 0;
		return;
	}
	s = bpf_map_lookup_elem(&disk_spill, &request);
	if (!s)
		return;
	*ret = *s;
	bpf_map_delete_elem(&disk_spill, &request);
}

static __always_inline void charge(__u64 slot, __u64 ns, __u64 bytes)
{
	struct cgroup_cpu *groups = cgroup_cpu();
	struct cgroup_counters *c;

	if (!groups)
		return;
	c = cgroup_counters(groups, slot);
	c->ios++;
	c->io_ns += ns;
	c->io_bytes += bytes;
}

SEC("tp_btf/block_rq_complete")
int BPF_PROG(disk_complete, struct request *rq, int error, unsigned int bytes)
{
	__u64 now = bpf_ktime_get_ns(), issue, start = rq->start_time_ns;
	struct disk_device *d = device_of(rq);
	struct disk_op_stats *s;
	struct stamp stamp = {};

	/* A write with a flush before or after it completes once more when the whole sequence has;
	 * an fsync is such a write without data. The flush itself is a request of its own. */
	if (!bytes && (rq->cmd_flags & OP_MASK) == OP_WRITE)
		return 0;
	if (!d)
		return 0;
	s = &d->op[op_of(rq)];
	__sync_fetch_and_add(&s->bytes, bytes);
	if (error)
		__sync_fetch_and_add(&s->errors, 1);
	if (bytes < rq->__data_len)
		return 0;
	take_stamp(key_of(rq), &stamp);
	issue = rq->io_start_time_ns ?: stamp.ns;
	if (!issue) {
		__sync_fetch_and_add(&d->no_issue_time, 1);
		return 0;
	}
	hist_add_atomic(&s->device, now > issue ? now - issue : 0);
	charge(stamp.cgroup, now > issue ? now - issue : 0, bytes);
	if (start)
		hist_add_atomic(&s->queue, issue > start ? issue - start : 0);
	else
		__sync_fetch_and_add(&d->no_start_time, 1);
	return 0;
}

/* The slot of the current task's cgroup; "other" before 5.11, which has no way to a typed task. */
static __always_inline __u64 current_cgroup(void)
{
	struct cgroup_cpu *groups = cgroup_cpu();

	if (!groups || !bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf))
		return 0;
	return cgroup_slot_of(groups, bpf_get_current_task_btf());
}

static __always_inline int issued(struct request *rq)
{
	struct stamp stamp = {.request = key_of(rq), .ns = bpf_ktime_get_ns()};
	struct stamp *s = place_of(stamp.request);

	if (!s)
		return 0;
	stamp.cgroup = current_cgroup();
	if (unlikely(s->request && s->request != stamp.request))
		return bpf_map_update_elem(&disk_spill, &stamp.request, &stamp, BPF_ANY);
	*s = stamp;
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
