/* host_memory.c - memory by use, paging and reclaim.
 *
 * Inputs: /proc/meminfo (in KiB, but for the numbers of huge pages) and /proc/vmstat (in pages;
 * only pgpgin and pgpgout are in KiB). Bounds: the tables below; other lines are passed over. Cost:
 * about 60 us, half of it the kernel adding its per-CPU counters.
 */
#include "host.h"

struct field {
	const char *key;
	double scale;
	struct metric metric;
};

#define MEMORY(key_, scale_, name_, help_)                                                         \
	{                                                                                          \
		key_, scale_,                                                                      \
		{                                                                                  \
			name_, METRIC_GAUGE, "", help_, "/proc/meminfo"                            \
		}                                                                                  \
	}
#define BYTES(key_, name_, help_) MEMORY(key_, 1024, name_, help_)
#define PAGES(key_, name_, help_) MEMORY(key_, 1, name_, help_)
#define EVENTS(key_, scale_, name_, help_)                                                         \
	{                                                                                          \
		key_, scale_,                                                                      \
		{                                                                                  \
			name_, METRIC_COUNTER, "", help_, "/proc/vmstat"                           \
		}                                                                                  \
	}

static const struct field meminfo[] = {
    BYTES("MemTotal", "trimtab_memory_total_bytes", "Memory that the kernel can use."),
    BYTES("MemFree", "trimtab_memory_free_bytes", "Memory that is not used for anything."),
    BYTES("MemAvailable", "trimtab_memory_available_bytes",
	  "Memory that can be had without swapping; the kernel's estimate."),
    BYTES("Buffers", "trimtab_memory_buffers_bytes", "Cached blocks of raw disks."),
    BYTES("Cached", "trimtab_memory_cached_bytes",
	  "Cached file pages, tmpfs and shared memory included."),
    BYTES("SwapCached", "trimtab_memory_swap_cached_bytes",
	  "Pages that are in memory and in swap."),
    BYTES("Active", "trimtab_memory_active_bytes", "Memory used lately."),
    BYTES("Inactive", "trimtab_memory_inactive_bytes",
	  "Memory not used lately, first to be reclaimed."),
    BYTES("Active(anon)", "trimtab_memory_active_anon_bytes", "Anonymous memory used lately."),
    BYTES("Inactive(anon)", "trimtab_memory_inactive_anon_bytes",
	  "Anonymous memory not used lately."),
    BYTES("Active(file)", "trimtab_memory_active_file_bytes", "File pages used lately."),
    BYTES("Inactive(file)", "trimtab_memory_inactive_file_bytes", "File pages not used lately."),
    BYTES("Unevictable", "trimtab_memory_unevictable_bytes", "Memory that cannot be reclaimed."),
    BYTES("Mlocked", "trimtab_memory_mlocked_bytes", "Memory locked by mlock."),
    BYTES("SwapTotal", "trimtab_memory_swap_total_bytes", "Swap space."),
    BYTES("SwapFree", "trimtab_memory_swap_free_bytes", "Swap space that is not used."),
    BYTES("Zswap", "trimtab_memory_zswap_bytes", "Memory that holds compressed swap."),
    BYTES("Zswapped", "trimtab_memory_zswapped_bytes",
	  "Swapped memory held compressed, before compression."),
    BYTES("Dirty", "trimtab_memory_dirty_bytes", "Pages waiting to be written to disk."),
    BYTES("Writeback", "trimtab_memory_writeback_bytes", "Pages being written to disk."),
    BYTES("AnonPages", "trimtab_memory_anon_pages_bytes", "Anonymous memory in page tables."),
    BYTES("Mapped", "trimtab_memory_mapped_bytes", "Files mapped into processes."),
    BYTES("Shmem", "trimtab_memory_shmem_bytes", "Shared memory and tmpfs."),
    BYTES("KReclaimable", "trimtab_memory_kernel_reclaimable_bytes",
	  "Kernel memory that can be reclaimed."),
    BYTES("Slab", "trimtab_memory_slab_bytes", "Kernel slab caches."),
    BYTES("SReclaimable", "trimtab_memory_slab_reclaimable_bytes",
	  "Slab caches that can be reclaimed."),
    BYTES("SUnreclaim", "trimtab_memory_slab_unreclaimable_bytes",
	  "Slab caches that cannot be reclaimed."),
    BYTES("KernelStack", "trimtab_memory_kernel_stack_bytes", "Kernel stacks."),
    BYTES("PageTables", "trimtab_memory_page_tables_bytes", "Page tables."),
    BYTES("SecPageTables", "trimtab_memory_secondary_page_tables_bytes",
	  "Page tables of virtual machines and I/O."),
    BYTES("NFS_Unstable", "trimtab_memory_nfs_unstable_bytes",
	  "Pages sent to an NFS server and not yet on its disk."),
    BYTES("Bounce", "trimtab_memory_bounce_bytes", "Bounce buffers of block devices."),
    BYTES("WritebackTmp", "trimtab_memory_writeback_tmp_bytes",
	  "Buffers of FUSE being written back."),
    BYTES("CommitLimit", "trimtab_memory_commit_limit_bytes",
	  "Memory that can be promised under strict overcommit."),
    BYTES("Committed_AS", "trimtab_memory_committed_bytes",
	  "Memory that has been promised to processes."),
    BYTES("VmallocTotal", "trimtab_memory_vmalloc_total_bytes", "Address space for vmalloc."),
    BYTES("VmallocUsed", "trimtab_memory_vmalloc_used_bytes", "Address space that vmalloc uses."),
    BYTES("VmallocChunk", "trimtab_memory_vmalloc_chunk_bytes",
	  "Largest free piece of vmalloc's address space."),
    BYTES("Percpu", "trimtab_memory_percpu_bytes",
	  "Memory of the per-CPU allocator; BPF's per-CPU maps are in it."),
    BYTES("HardwareCorrupted", "trimtab_memory_hardware_corrupted_bytes",
	  "Memory that the hardware found bad and the kernel gave up."),
    BYTES("AnonHugePages", "trimtab_memory_anon_huge_pages_bytes",
	  "Anonymous memory in transparent huge pages."),
    BYTES("ShmemHugePages", "trimtab_memory_shmem_huge_pages_bytes",
	  "Shared memory in huge pages."),
    BYTES("ShmemPmdMapped", "trimtab_memory_shmem_pmd_mapped_bytes",
	  "Shared memory mapped with huge pages."),
    BYTES("FileHugePages", "trimtab_memory_file_huge_pages_bytes", "File pages in huge pages."),
    BYTES("FilePmdMapped", "trimtab_memory_file_pmd_mapped_bytes",
	  "File pages mapped with huge pages."),
    BYTES("Balloon", "trimtab_memory_balloon_bytes", "Memory given back to the hypervisor."),
    PAGES("HugePages_Total", "trimtab_memory_huge_pages", "Huge pages in the pool."),
    PAGES("HugePages_Free", "trimtab_memory_huge_pages_free", "Huge pages that are not used."),
    PAGES("HugePages_Rsvd", "trimtab_memory_huge_pages_reserved",
	  "Huge pages promised and not yet used."),
    PAGES("HugePages_Surp", "trimtab_memory_huge_pages_surplus",
	  "Huge pages above the configured number."),
    BYTES("Hugepagesize", "trimtab_memory_huge_page_size_bytes", "Size of a huge page."),
    BYTES("Hugetlb", "trimtab_memory_hugetlb_bytes", "Memory in huge pages of all sizes."),
    BYTES("DirectMap4k", "trimtab_memory_direct_map_4k_bytes",
	  "Kernel memory mapped by 4 KiB pages."),
    BYTES("DirectMap2M", "trimtab_memory_direct_map_2m_bytes",
	  "Kernel memory mapped by 2 MiB pages."),
    BYTES("DirectMap1G", "trimtab_memory_direct_map_1g_bytes",
	  "Kernel memory mapped by 1 GiB pages."),
};

static const struct field vmstat[] = {
    EVENTS("oom_kill", 1, "trimtab_vmstat_oom_kill_total", "Processes killed for want of memory."),
    EVENTS("pgfault", 1, "trimtab_vmstat_pgfault_total", "Page faults."),
    EVENTS("pgmajfault", 1, "trimtab_vmstat_pgmajfault_total",
	   "Page faults that had to read from disk."),
    EVENTS("pgpgin", 1024, "trimtab_vmstat_paged_in_bytes_total", "Bytes read from block devices."),
    EVENTS("pgpgout", 1024, "trimtab_vmstat_paged_out_bytes_total",
	   "Bytes written to block devices."),
    EVENTS("pswpin", 1, "trimtab_vmstat_pswpin_total", "Pages read from swap."),
    EVENTS("pswpout", 1, "trimtab_vmstat_pswpout_total", "Pages written to swap."),
    EVENTS("pgscan_kswapd", 1, "trimtab_vmstat_pgscan_kswapd_total",
	   "Pages looked at by background reclaim."),
    EVENTS("pgscan_direct", 1, "trimtab_vmstat_pgscan_direct_total",
	   "Pages looked at by tasks that had to reclaim themselves."),
    EVENTS("pgsteal_kswapd", 1, "trimtab_vmstat_pgsteal_kswapd_total",
	   "Pages freed by background reclaim."),
    EVENTS("pgsteal_direct", 1, "trimtab_vmstat_pgsteal_direct_total",
	   "Pages freed by tasks that had to reclaim themselves."),
    EVENTS("workingset_refault_anon", 1, "trimtab_vmstat_workingset_refault_anon_total",
	   "Anonymous pages read back soon after they were reclaimed."),
    EVENTS("workingset_refault_file", 1, "trimtab_vmstat_workingset_refault_file_total",
	   "File pages read back soon after they were reclaimed."),
    EVENTS("compact_stall", 1, "trimtab_vmstat_compact_stall_total",
	   "Tasks that had to wait for memory compaction."),
    EVENTS("thp_fault_alloc", 1, "trimtab_vmstat_thp_fault_alloc_total",
	   "Huge pages given at a page fault."),
};

#define MEMINFO (sizeof(meminfo) / sizeof(meminfo[0]))
#define VMSTAT (sizeof(vmstat) / sizeof(vmstat[0]))

/* The kernel's order is that of the table, nearly: *from remembers where the next one likely is. */
static const struct field *find(const struct field *table, size_t n, struct host_text key,
				size_t *from)
{
	for (size_t i = 0; i < n; i++) {
		size_t at = (*from + i) % n;

		if (host_text_is(key, table[at].key)) {
			*from = at + 1;
			return &table[at];
		}
	}
	return NULL;
}

static void read_fields(struct host *h, enum host_file file, const struct field *table, size_t n)
{
	struct host_text text, line, key;
	const struct field *field;
	uint64_t value;
	size_t from = 0;

	if (host_file_read(h, file, &text) < 0)
		return;
	while (host_text_line(&text, &line)) {
		if (!host_text_word(&line, &key))
			continue;
		if (key.end[-1] == ':')
			key.end--;
		field = find(table, n, key, &from);
		if (field && host_text_u64(&line, &value))
			host_set(h, &field->metric, (double)value * field->scale);
	}
}

static void memory_tick(struct host *h)
{
	read_fields(h, HOST_MEMINFO, meminfo, MEMINFO);
	read_fields(h, HOST_VMSTAT, vmstat, VMSTAT);
}

static const struct metric *memory_metric(size_t i)
{
	return i < MEMINFO	      ? &meminfo[i].metric
	       : i < MEMINFO + VMSTAT ? &vmstat[i - MEMINFO].metric
				      : NULL;
}

const struct host_part host_memory_part = {
    .name = "memory",
    .tick = memory_tick,
    .metric = memory_metric,
};
