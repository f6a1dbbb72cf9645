/* host_memory.c - memory by use, paging and reclaim.
 *
 * Inputs: /proc/meminfo and /proc/vmstat. What is named in bytes here is in KiB there; the rest
 * (huge pages, faults) is a number. Bounds: the tables below; other lines are passed over. Cost:
 * about 40 us.
 */
#include "host.h"

#include <string.h>

static const struct metric meminfo[] METRIC = {
    {"trimtab_memory_total_bytes", METRIC_GAUGE, "", "Memory that the kernel can use.",
     "/proc/meminfo MemTotal"},
    {"trimtab_memory_free_bytes", METRIC_GAUGE, "", "Memory that is not used for anything.",
     "/proc/meminfo MemFree"},
    {"trimtab_memory_available_bytes", METRIC_GAUGE, "",
     "Memory that can be had without swapping; the kernel's estimate.",
     "/proc/meminfo MemAvailable"},
    {"trimtab_memory_buffers_bytes", METRIC_GAUGE, "", "Cached blocks of raw disks.",
     "/proc/meminfo Buffers"},
    {"trimtab_memory_cached_bytes", METRIC_GAUGE, "",
     "Cached file pages, tmpfs and shared memory included.", "/proc/meminfo Cached"},
    {"trimtab_memory_swap_cached_bytes", METRIC_GAUGE, "", "Pages that are in memory and in swap.",
     "/proc/meminfo SwapCached"},
    {"trimtab_memory_active_bytes", METRIC_GAUGE, "", "Memory used lately.",
     "/proc/meminfo Active"},
    {"trimtab_memory_inactive_bytes", METRIC_GAUGE, "",
     "Memory not used lately, first to be reclaimed.", "/proc/meminfo Inactive"},
    {"trimtab_memory_active_anon_bytes", METRIC_GAUGE, "", "Anonymous memory used lately.",
     "/proc/meminfo Active(anon)"},
    {"trimtab_memory_inactive_anon_bytes", METRIC_GAUGE, "", "Anonymous memory not used lately.",
     "/proc/meminfo Inactive(anon)"},
    {"trimtab_memory_active_file_bytes", METRIC_GAUGE, "", "File pages used lately.",
     "/proc/meminfo Active(file)"},
    {"trimtab_memory_inactive_file_bytes", METRIC_GAUGE, "", "File pages not used lately.",
     "/proc/meminfo Inactive(file)"},
    {"trimtab_memory_unevictable_bytes", METRIC_GAUGE, "", "Memory that cannot be reclaimed.",
     "/proc/meminfo Unevictable"},
    {"trimtab_memory_mlocked_bytes", METRIC_GAUGE, "", "Memory locked by mlock.",
     "/proc/meminfo Mlocked"},
    {"trimtab_memory_swap_total_bytes", METRIC_GAUGE, "", "Swap space.", "/proc/meminfo SwapTotal"},
    {"trimtab_memory_swap_free_bytes", METRIC_GAUGE, "", "Swap space that is not used.",
     "/proc/meminfo SwapFree"},
    {"trimtab_memory_zswap_bytes", METRIC_GAUGE, "", "Memory that holds compressed swap.",
     "/proc/meminfo Zswap"},
    {"trimtab_memory_zswapped_bytes", METRIC_GAUGE, "",
     "Swapped memory held compressed, before compression.", "/proc/meminfo Zswapped"},
    {"trimtab_memory_dirty_bytes", METRIC_GAUGE, "", "Pages waiting to be written to disk.",
     "/proc/meminfo Dirty"},
    {"trimtab_memory_writeback_bytes", METRIC_GAUGE, "", "Pages being written to disk.",
     "/proc/meminfo Writeback"},
    {"trimtab_memory_anon_pages_bytes", METRIC_GAUGE, "", "Anonymous memory in page tables.",
     "/proc/meminfo AnonPages"},
    {"trimtab_memory_mapped_bytes", METRIC_GAUGE, "", "Files mapped into processes.",
     "/proc/meminfo Mapped"},
    {"trimtab_memory_shmem_bytes", METRIC_GAUGE, "", "Shared memory and tmpfs.",
     "/proc/meminfo Shmem"},
    {"trimtab_memory_kernel_reclaimable_bytes", METRIC_GAUGE, "",
     "Kernel memory that can be reclaimed.", "/proc/meminfo KReclaimable"},
    {"trimtab_memory_slab_bytes", METRIC_GAUGE, "", "Kernel slab caches.", "/proc/meminfo Slab"},
    {"trimtab_memory_slab_reclaimable_bytes", METRIC_GAUGE, "",
     "Slab caches that can be reclaimed.", "/proc/meminfo SReclaimable"},
    {"trimtab_memory_slab_unreclaimable_bytes", METRIC_GAUGE, "",
     "Slab caches that cannot be reclaimed.", "/proc/meminfo SUnreclaim"},
    {"trimtab_memory_kernel_stack_bytes", METRIC_GAUGE, "", "Kernel stacks.",
     "/proc/meminfo KernelStack"},
    {"trimtab_memory_page_tables_bytes", METRIC_GAUGE, "", "Page tables.",
     "/proc/meminfo PageTables"},
    {"trimtab_memory_secondary_page_tables_bytes", METRIC_GAUGE, "",
     "Page tables of virtual machines and I/O.", "/proc/meminfo SecPageTables"},
    {"trimtab_memory_nfs_unstable_bytes", METRIC_GAUGE, "",
     "Pages sent to an NFS server and not yet on its disk.", "/proc/meminfo NFS_Unstable"},
    {"trimtab_memory_bounce_bytes", METRIC_GAUGE, "", "Bounce buffers of block devices.",
     "/proc/meminfo Bounce"},
    {"trimtab_memory_writeback_tmp_bytes", METRIC_GAUGE, "", "Buffers of FUSE being written back.",
     "/proc/meminfo WritebackTmp"},
    {"trimtab_memory_commit_limit_bytes", METRIC_GAUGE, "",
     "Memory that can be promised under strict overcommit.", "/proc/meminfo CommitLimit"},
    {"trimtab_memory_committed_bytes", METRIC_GAUGE, "",
     "Memory that has been promised to processes.", "/proc/meminfo Committed_AS"},
    {"trimtab_memory_vmalloc_total_bytes", METRIC_GAUGE, "", "Address space for vmalloc.",
     "/proc/meminfo VmallocTotal"},
    {"trimtab_memory_vmalloc_used_bytes", METRIC_GAUGE, "", "Address space that vmalloc uses.",
     "/proc/meminfo VmallocUsed"},
    {"trimtab_memory_vmalloc_chunk_bytes", METRIC_GAUGE, "",
     "Largest free piece of vmalloc's address space.", "/proc/meminfo VmallocChunk"},
    {"trimtab_memory_percpu_bytes", METRIC_GAUGE, "",
     "Memory of the per-CPU allocator; BPF's per-CPU maps are in it.", "/proc/meminfo Percpu"},
    {"trimtab_memory_hardware_corrupted_bytes", METRIC_GAUGE, "",
     "Memory that the hardware found bad and the kernel gave up.",
     "/proc/meminfo HardwareCorrupted"},
    {"trimtab_memory_anon_huge_pages_bytes", METRIC_GAUGE, "",
     "Anonymous memory in transparent huge pages.", "/proc/meminfo AnonHugePages"},
    {"trimtab_memory_shmem_huge_pages_bytes", METRIC_GAUGE, "", "Shared memory in huge pages.",
     "/proc/meminfo ShmemHugePages"},
    {"trimtab_memory_shmem_pmd_mapped_bytes", METRIC_GAUGE, "",
     "Shared memory mapped with huge pages.", "/proc/meminfo ShmemPmdMapped"},
    {"trimtab_memory_file_huge_pages_bytes", METRIC_GAUGE, "", "File pages in huge pages.",
     "/proc/meminfo FileHugePages"},
    {"trimtab_memory_file_pmd_mapped_bytes", METRIC_GAUGE, "", "File pages mapped with huge pages.",
     "/proc/meminfo FilePmdMapped"},
    {"trimtab_memory_balloon_bytes", METRIC_GAUGE, "", "Memory given back to the hypervisor.",
     "/proc/meminfo Balloon"},
    {"trimtab_memory_huge_pages", METRIC_GAUGE, "", "Huge pages in the pool.",
     "/proc/meminfo HugePages_Total"},
    {"trimtab_memory_huge_pages_free", METRIC_GAUGE, "", "Huge pages that are not used.",
     "/proc/meminfo HugePages_Free"},
    {"trimtab_memory_huge_pages_reserved", METRIC_GAUGE, "",
     "Huge pages promised and not yet used.", "/proc/meminfo HugePages_Rsvd"},
    {"trimtab_memory_huge_pages_surplus", METRIC_GAUGE, "",
     "Huge pages above the configured number.", "/proc/meminfo HugePages_Surp"},
    {"trimtab_memory_huge_page_size_bytes", METRIC_GAUGE, "", "Size of a huge page.",
     "/proc/meminfo Hugepagesize"},
    {"trimtab_memory_hugetlb_bytes", METRIC_GAUGE, "", "Memory in huge pages of all sizes.",
     "/proc/meminfo Hugetlb"},
    {"trimtab_memory_direct_map_4k_bytes", METRIC_GAUGE, "", "Kernel memory mapped by 4 KiB pages.",
     "/proc/meminfo DirectMap4k"},
    {"trimtab_memory_direct_map_2m_bytes", METRIC_GAUGE, "", "Kernel memory mapped by 2 MiB pages.",
     "/proc/meminfo DirectMap2M"},
    {"trimtab_memory_direct_map_1g_bytes", METRIC_GAUGE, "", "Kernel memory mapped by 1 GiB pages.",
     "/proc/meminfo DirectMap1G"},
};

static const struct metric vmstat[] METRIC = {
    {"trimtab_vmstat_oom_kill_total", METRIC_COUNTER, "", "Processes killed for want of memory.",
     "/proc/vmstat oom_kill"},
    {"trimtab_vmstat_pgfault_total", METRIC_COUNTER, "", "Page faults.", "/proc/vmstat pgfault"},
    {"trimtab_vmstat_pgmajfault_total", METRIC_COUNTER, "",
     "Page faults that had to read from disk.", "/proc/vmstat pgmajfault"},
    {"trimtab_vmstat_paged_in_bytes_total", METRIC_COUNTER, "", "Bytes read from block devices.",
     "/proc/vmstat pgpgin"},
    {"trimtab_vmstat_paged_out_bytes_total", METRIC_COUNTER, "", "Bytes written to block devices.",
     "/proc/vmstat pgpgout"},
    {"trimtab_vmstat_pswpin_total", METRIC_COUNTER, "", "Pages read from swap.",
     "/proc/vmstat pswpin"},
    {"trimtab_vmstat_pswpout_total", METRIC_COUNTER, "", "Pages written to swap.",
     "/proc/vmstat pswpout"},
    {"trimtab_vmstat_pgscan_kswapd_total", METRIC_COUNTER, "",
     "Pages looked at by background reclaim.", "/proc/vmstat pgscan_kswapd"},
    {"trimtab_vmstat_pgscan_direct_total", METRIC_COUNTER, "",
     "Pages looked at by tasks that had to reclaim themselves.", "/proc/vmstat pgscan_direct"},
    {"trimtab_vmstat_pgsteal_kswapd_total", METRIC_COUNTER, "",
     "Pages freed by background reclaim.", "/proc/vmstat pgsteal_kswapd"},
    {"trimtab_vmstat_pgsteal_direct_total", METRIC_COUNTER, "",
     "Pages freed by tasks that had to reclaim themselves.", "/proc/vmstat pgsteal_direct"},
    {"trimtab_vmstat_workingset_refault_anon_total", METRIC_COUNTER, "",
     "Anonymous pages read back soon after they were reclaimed.",
     "/proc/vmstat workingset_refault_anon"},
    {"trimtab_vmstat_workingset_refault_file_total", METRIC_COUNTER, "",
     "File pages read back soon after they were reclaimed.",
     "/proc/vmstat workingset_refault_file"},
    {"trimtab_vmstat_compact_stall_total", METRIC_COUNTER, "",
     "Tasks that had to wait for memory compaction.", "/proc/vmstat compact_stall"},
    {"trimtab_vmstat_thp_fault_alloc_total", METRIC_COUNTER, "",
     "Huge pages given at a page fault.", "/proc/vmstat thp_fault_alloc"},
};

#define MEMINFO (sizeof(meminfo) / sizeof(meminfo[0]))
#define VMSTAT (sizeof(vmstat) / sizeof(vmstat[0]))

static void read_fields(struct host *h, enum host_file file, struct host_order *order,
			const struct metric *table, size_t n)
{
	struct host_text text, line, key;
	const struct metric *m;
	uint64_t value;

	if (host_file_read(h, file, &text) < 0)
		return;
	for (size_t i = 0; host_text_line(&text, &line); i++) {
		if (!host_text_word(&line, &key))
			continue;
		if (key.end[-1] == ':')
			key.end--;
		m = host_order_find(h, order, i, table, n, host_text_of(""), key);
		if (m && host_text_u64(&line, &value))
			host_set(h, m, (double)value * (strstr(m->name, "_bytes") ? 1024 : 1));
	}
}

static void memory_tick(struct host *h)
{
	read_fields(h, HOST_MEMINFO, &h->orders.meminfo, meminfo, MEMINFO);
	read_fields(h, HOST_VMSTAT, &h->orders.vmstat, vmstat, VMSTAT);
}

const struct host_part host_memory_part = {
    .name = "memory",
    .tick = memory_tick,
};
