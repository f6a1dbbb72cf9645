/* probe_adapt.h - fits the BPF objects to the running kernel before they are loaded, by its BTF. */
#ifndef TRIMTAB_PROBE_ADAPT_H
#define TRIMTAB_PROBE_ADAPT_H

#include <stdbool.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "shared.h"

/* Leaves out what this kernel has no hook for, and chooses between variants of one hook. */
void probe_adapt_programs(struct bpf_object *o, struct btf *btf);
/* Whether it has a raw tracepoint of this name. */
bool probe_has_hook(struct btf *btf, const char *hook);
/* Whether the kernel's hashes allocate from a pool of their own (6.1). Before that, an entry
 * allocated in a tracing program may take the page allocator's locks where they are held:
 * preallocate. */
bool probe_hashes_allocate_safely(struct btf *btf);
/* The kernel's names of why a packet is dropped: SKB_DROP_REASON_NO_SOCKET is "no_socket". */
void probe_name_drop_reasons(struct shared *s, struct btf *btf);

#endif
