/* vmlinux.h - the kernel types and fields that the probes read, and nothing else.
 *
 * Written by hand: each struct names only the fields that bpf/ uses; preserve_access_index makes
 * CO-RE find their offsets in the running kernel's BTF. A name ending in ___old (or another
 * triple-underscore flavour) is the same struct on kernels where a field had another name.
 */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#include <asm/types.h>
#include <linux/bpf.h>

#ifndef __ksym
#define __ksym __attribute__((section(".ksyms")))
#endif

typedef _Bool bool;
enum { false, true };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* --- arch/x86: the registers of user space, saved at the entry to the kernel */

struct pt_regs {
	unsigned long r8;
	unsigned long cx;
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long ax;
	unsigned long orig_ax; /* the syscall's number; -1 in an interrupt or exception */
	unsigned long cs;
	unsigned long sp;
};

/* --- sched */

struct kernfs_node {
	__u64 id; /* the inode number of the cgroup's directory */
};

struct cgroup {
	struct kernfs_node *kn;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

struct css_set {
	struct cgroup_subsys_state *subsys[16];
	struct cgroup *dfl_cgrp; /* the cgroup in the cgroup2 hierarchy */
};

enum cgroup_subsys_id {
	cpu_cgrp_id = 1, /* values are taken from the kernel's BTF */
	memory_cgrp_id = 4,
};

struct sched_entity {
	__u64 sum_exec_runtime; /* ns on a CPU, up to the last tick or switch */
};

struct sched_info {
	unsigned long long run_delay; /* ns runnable, waiting for a CPU */
};

struct task_struct {
	struct sched_entity se;
	struct sched_info sched_info;
	unsigned int __state;
	unsigned int flags;
	int pid;
	int tgid;
	char comm[16];
	void *stack;
	struct css_set *cgroups;
	struct files_struct *files;
};

struct task_struct___old { /* before 5.14 */
	long state;
};

/* --- block */

struct gendisk {
	int major;
	int first_minor;
};

struct request_queue {
	struct gendisk *disk;
};

struct blkcg_gq {
	struct blkcg *blkcg;
};

struct blkcg {
	struct cgroup_subsys_state css;
};

struct bio {
	struct blkcg_gq *bi_blkg;
};

struct request {
	struct request_queue *q;
	unsigned int cmd_flags; /* the operation is in the low 8 bits */
	unsigned int __data_len; /* bytes still to complete */
	struct bio *bio;
	__u64 start_time_ns;	/* allocated; 0 if the queue's iostats are off */
	__u64 io_start_time_ns; /* issued; 0 unless something in the kernel asked for it */
};

struct request___old { /* before 5.17 */
	struct gendisk *rq_disk;
};

/* --- net */

struct in6_addr {
	__u8 bytes[16];
};

struct sock_common {
	__be32 skc_daddr;
	struct in6_addr skc_v6_daddr;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned long skc_flags; /* bits of enum sock_flags */
	__u16 skc_num;	 /* local port */
	__be16 skc_dport; /* remote port, network order */
};

typedef struct {
	int counter;
} atomic_t;

struct sock_cgroup_data {
	struct cgroup *cgroup; /* of cgroup2; since 5.16, packed with other things before */
};

typedef struct {
	int owned; /* a task works on the socket */
} socket_lock_t;

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	atomic_t sk_drops;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
	int sk_err;
	__u16 sk_type;
	__u16 sk_protocol;
	struct socket *sk_socket;
	struct sock_cgroup_data sk_cgrp_data;
};

struct inet_sock {
	struct sock sk;
	__be16 inet_sport; /* local port, network order */
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct {
		__u32 lrcvtime; /* jiffies of the last data that came */
	} icsk_ack;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 srtt_us; /* eight times the smoothed RTT */
	__u32 rcv_nxt;	 /* the next sequence number to come */
	__u32 copied_seq; /* the next one to be read */
	__u32 snd_una;	 /* the first sequence number not acknowledged */
	__u32 write_seq; /* behind the last one given to send, a FIN counts as one */
	__u64 bytes_received;
	__u64 bytes_acked;
	__u64 bytes_sent; /* payload, what was sent again too */
	__u32 snd_nxt;	       /* the next sequence number to send */
	__u64 tcp_clock_cache; /* ns, as tcp_mstamp */
	__u64 tcp_mstamp; /* us, CLOCK_MONOTONIC: the last packet or transmission */
};

struct unix_address;

struct unix_sock {
	struct sock sk;
	struct unix_address *addr;
	struct sock *peer;
};

struct sk_buff {
	char cb[48]; /* TCP keeps a struct tcp_skb_cb here */
};

struct tcp_skb_cb {
	__u16 tcp_gso_segs; /* the segments that it is cut into; 0 or 1: one */
};

struct request_sock;

struct bpf_iter_meta {
	__u64 session_id;
	__u64 seq_num;
};

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	void *value;
};

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

/* --- fs: from a file descriptor to its socket */

struct socket {
	struct sock *sk;
};

struct file {
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

#pragma clang attribute pop

#endif
