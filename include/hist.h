/* hist.h - the one histogram of trimtab, shared by the kernel half and the user half.
 *
 * It is Prometheus's native histogram, schema 3: bucket edges at 2^(i/8) seconds, upper edge
 * inclusive, so a quantile read from it is off by at most 4.4 % (half a bucket in log space).
 * Values are u64 nanoseconds. Slots of `count`:
 *
 *   0            exactly 0 ns (the zero bucket)
 *   1 .. 288     Prometheus index -239 .. 48: (2^((i-1)/8), 2^(i/8)] s, that is 1 ns .. 64 s
 *   289          overflow: more than 64 s
 *
 * Counts are u64 and never reset. The number of samples is the sum of `count`. hist_slot() costs
 * about 3 ns, uses no float and no division, and passes the verifier from 5.10 on.
 */
#ifndef TRIMTAB_HIST_H
#define TRIMTAB_HIST_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define HIST_SCHEMA 3
#define HIST_SLOTS 290
#define HIST_SLOT_OVERFLOW (HIST_SLOTS - 1)
/* Prometheus's bucket index of slot s (1 .. 288) is s - HIST_INDEX_BIAS */
#define HIST_INDEX_BIAS 240
#define HIST_MAX_NS 64000000000ULL

struct hist {
	__u64 sum_ns;
	__u64 count[HIST_SLOTS];
};

/* The eight edges of an octave as 64-bit mantissas, floor(2^63 * 2^((j + x) / 8)) where x is the
 * fraction of 8 log2(10^9): each power of two of nanoseconds holds the same eight cuts. */
static const __u64 hist_cuts[8] = {
    0x81ffa7a9549ca6e3ULL, 0x8dc3b8960164a7d9ULL, 0x9a9867054d512391ULL, 0xa8965f74bf065071ULL,
    0xb7d88a12d0dd9ea0ULL, 0xc87c3e7d03cdbec3ULL, 0xdaa17c2cd19555dbULL, 0xee6b280000000000ULL,
};

/* ns: any; returns 0 .. HIST_SLOTS - 1 */
static __attribute__((always_inline)) inline __u32 hist_slot(__u64 ns)
{
	__u64 m = ns;
	__u32 octave = 63, cuts = 0;

	if (ns == 0)
		return 0;
	if (ns > HIST_MAX_NS)
		return HIST_SLOT_OVERFLOW;
	/* m: ns shifted until its highest bit is bit 63; BPF has no count-leading-zeros */
	if (!(m >> 32))
		m <<= 32, octave -= 32;
	if (!(m >> 48))
		m <<= 16, octave -= 16;
	if (!(m >> 56))
		m <<= 8, octave -= 8;
	if (!(m >> 60))
		m <<= 4, octave -= 4;
	if (!(m >> 62))
		m <<= 2, octave -= 2;
	if (!(m >> 63))
		m <<= 1, octave -= 1;
	if (m > hist_cuts[3])
		cuts = 4;
	if (m > hist_cuts[cuts + 1])
		cuts += 2;
	if (m > hist_cuts[cuts])
		cuts += 1;
	if (m > hist_cuts[7])
		cuts = 8;
	return 8 * octave + 1 + cuts;
}

#endif
