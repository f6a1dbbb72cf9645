/* cgroup_walk.h - where the cgroup hierarchies are mounted and which directories they hold. */
#ifndef TRIMTAB_CGROUP_WALK_H
#define TRIMTAB_CGROUP_WALK_H

#include <stdbool.h>
#include <stdint.h>

#define CGROUP_MOUNT_MAX 128 /* bytes of a mount point, with the NUL */
#define CGROUP_PATH_MAX 240  /* bytes of a path as it is shown, with the NUL */
#define CGROUP_DIRS 512	     /* directories visited in one hierarchy */

enum cgroup_hierarchy {
	CGROUP_V2,
	CGROUP_MEMORY,
	CGROUP_CPU,
	CGROUP_CPUACCT,
	CGROUP_BLKIO,
	CGROUP_PIDS,
	CGROUP_HIERARCHIES
};

struct cgroup_mounts {
	char at[CGROUP_HIERARCHIES][CGROUP_MOUNT_MAX]; /* "": not mounted */
};

struct cgroup_dir {
	const char *path; /* below the mount: "/" or "/a/b"; lives during the call */
	uint64_t id;	  /* the inode, which is the kernel's id of the cgroup */
	bool leaf;	  /* has no directory in it */
};

/* mountinfo: "/proc/self/mountinfo". 0 or -errno; -ENOENT: no hierarchy is mounted. */
int cgroup_walk_mounts(const char *mountinfo, struct cgroup_mounts *ret);

/* Visits the directories below a mount, at most `max` of them, children before their parent.
 * Returns how many it had to leave out, at least 1 if any. */
unsigned cgroup_walk(const char *mount, unsigned max,
		     void (*each)(void *argument, const struct cgroup_dir *dir), void *argument);

/* The path as it is shown: one that is too long keeps its end, behind "...". */
void cgroup_walk_shorten(const char *path, char ret[CGROUP_PATH_MAX]);

#endif
