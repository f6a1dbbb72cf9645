/* probes_private.h - what probes.c (programs), probes_request.c (those for requests) and
 * probes_maps.c (maps) share. */
#ifndef TRIMTAB_PROBES_PRIVATE_H
#define TRIMTAB_PROBES_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "probes.h"

#define PROGRAMS_MAX 16

enum { SCHED, SYSCALL, DISK, TCP, REQUEST, TLS, PROBES };

struct program {
	struct bpf_program *bpf;
	struct bpf_link *link;
	uint32_t shared; /* index in shared->prog */
	bool always;	 /* attached for as long as the probe is on */
};

struct probe {
	struct bpf_object_skeleton *skeleton;
	struct bpf_object *object;
	struct program program[PROGRAMS_MAX];
	size_t programs_n;
	bool loaded;
};

struct probes {
	struct shared *shared;
	struct probe probe[PROBES];
	struct probe_maps maps;
	struct syscall_bpf *syscall;
	struct sched_bpf *sched;
	struct disk_bpf *disk;
	struct tcp_bpf *tcp;
	struct request_bpf *request_socket; /* one of these two */
	struct request_packet_bpf *request_packet;
	struct request_tls_bpf *request_tls; /* with either; NULL: not wanted so far */
	const struct config *config;	     /* while loading */
	uint32_t cpus;
};

/* NULL: it is not loaded */
struct program *probes_find_program(struct probes *p, const char *name);

/* In how many copies what is counted of requests is kept: a power of 2. */
uint32_t probes_request_shards(uint32_t cpus);
/* Opens the programs for one of the ways of seeing requests. */
int probes_open_request(struct probes *p, bool packet);
void probes_free_request(struct probes *p);
/* Opens the programs for requests inside TLS, which add to what those above count. */
int probes_open_tls(struct probes *p);
/* What they share with the keeper; NULL if they are not loaded. */
struct request_control *probes_request_control(struct probes *p);
/* Attaches a program of type CGROUP_SKB to the root of cgroup2. NULL and errno if it cannot be. */
struct bpf_link *probes_attach_to_root(const struct bpf_program *program);
/* Sizes an object's maps, and shares those that an earlier object has under the same name. */
int probes_adapt_maps(struct probes *p, struct bpf_object *o, struct btf *btf);
/* Puts the maps of a loaded probe into shared memory's list, with the memory they take. */
void probes_list_maps(struct probes *p, int index);
/* The memory of a map that the kernel does not account to it. */
void probes_note_bytes(struct probes *p, const char *name, uint64_t bytes);
/* Maps what the keeper itself needs. */
void probes_map_own(struct probes *p);

#endif
