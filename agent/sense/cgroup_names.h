/* cgroup_names.h - from the id of a cgroup, as BPF programs see it, to its path.
 *
 * An id is the inode of the cgroup's directory. The hierarchies number theirs independently, so the
 * same id can stand for two of them: cgroup2 is tried first, then v1's memory, cpu and blkio, which
 * is the order in which the BPF programs choose (a task that lives only in v1 has its memory
 * cgroup's). An id stays with its cgroup for good, so the directories are walked only when an
 * unknown one is asked for, at most every CGROUP_NAMES_AGE_NS.
 *
 * Bounds: CGROUP_NAMES_MAX names; the ids beyond are answered "cgroup:ID". Cost: 30 ns a known id;
 * a walk is 3 us a cgroup, 2 ms at most.
 */
#ifndef TRIMTAB_CGROUP_NAMES_H
#define TRIMTAB_CGROUP_NAMES_H

#include <stdint.h>

#define CGROUP_NAMES_MAX 512
#define CGROUP_NAMES_AGE_NS (2ULL * 1000000000)
#define CGROUP_CONTAINER_MAX 13 /* 12 digits and the NUL */

struct cgroup_names;

/* mountinfo: kept; NULL is /proc/self/mountinfo, or that of HOST_PROC. NULL if there is no memory.
 * cgroup_names_free(NULL) is fine. */
struct cgroup_names *cgroup_names_new(const char *mountinfo);
void cgroup_names_free(struct cgroup_names *names);

/* "/system.slice/redis.service", "/" or "cgroup:4711"; lives until the fourth call after it. */
const char *cgroup_name(struct cgroup_names *names, uint64_t id, uint64_t now_ns);

/* The first 12 of the 64 hexadecimal digits in the last part of the path; "" if it has none. */
void cgroup_names_container(const char *path, char ret[CGROUP_CONTAINER_MAX]);

#endif
