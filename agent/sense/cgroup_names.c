/* cgroup_names.c - see cgroup_names.h.
 *
 * A table of CGROUP_NAMES_MAX places by hash of the id, twice as many slots, linear probing. It is
 * emptied and filled anew by each walk, so cgroups that are gone leave no trace.
 */
#include "cgroup_names.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cgroup_walk.h"
#include "host.h"

#define SLOTS (2 * CGROUP_NAMES_MAX)
#define ANSWERS 4

struct name {
	uint64_t id;
	char path[CGROUP_PATH_MAX];
};

struct cgroup_names {
	const char *mountinfo;
	char mountinfo_default[HOST_PATH_MAX];
	uint64_t walked_ns; /* 0: never */
	unsigned n;
	unsigned answer;
	uint16_t slot[SLOTS]; /* index + 1 in name; 0: empty */
	struct name name[CGROUP_NAMES_MAX];
	char answers[ANSWERS][CGROUP_PATH_MAX];
};

/* in the order of preference when two hierarchies use the same id */
static const enum cgroup_hierarchy order[] = {CGROUP_V2, CGROUP_MEMORY, CGROUP_CPU, CGROUP_BLKIO};

struct cgroup_names *cgroup_names_new(const char *mountinfo)
{
	struct cgroup_names *names = calloc(1, sizeof(*names));

	if (!names)
		return NULL;
	snprintf(names->mountinfo_default, sizeof(names->mountinfo_default), "%s/self/mountinfo",
		 host_paths_of_environment().proc);
	names->mountinfo = mountinfo ? mountinfo : names->mountinfo_default;
	return names;
}

void cgroup_names_free(struct cgroup_names *names)
{
	free(names);
}

/* The slot that holds the id, or the empty one where it would be. */
static uint16_t *find(struct cgroup_names *names, uint64_t id)
{
	size_t at = (id * 0x9e3779b97f4a7c15ULL) >> 32;

	while (names->slot[at % SLOTS] && names->name[names->slot[at % SLOTS] - 1].id != id)
		at++;
	return &names->slot[at % SLOTS];
}

static void add(void *argument, const struct cgroup_dir *dir)
{
	struct cgroup_names *names = argument;
	uint16_t *slot = find(names, dir->id);

	if (*slot || names->n == CGROUP_NAMES_MAX)
		return;
	names->name[names->n].id = dir->id;
	cgroup_walk_shorten(dir->path, names->name[names->n].path);
	*slot = (uint16_t)++names->n;
}

static void walk(struct cgroup_names *names)
{
	struct cgroup_mounts mounts;

	memset(names->slot, 0, sizeof(names->slot));
	names->n = 0;
	if (cgroup_walk_mounts(names->mountinfo, &mounts) < 0)
		return;
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (*mounts.at[order[i]])
			cgroup_walk(mounts.at[order[i]], CGROUP_NAMES_MAX - names->n, add, names);
}

const char *cgroup_name(struct cgroup_names *names, uint64_t id, uint64_t now_ns)
{
	char *answer = names->answers[names->answer++ % ANSWERS];
	uint16_t *slot = find(names, id);

	if (!*slot && (!names->walked_ns || now_ns - names->walked_ns >= CGROUP_NAMES_AGE_NS)) {
		walk(names);
		names->walked_ns = now_ns ? now_ns : 1;
		slot = find(names, id);
	}
	if (*slot)
		strcpy(answer, names->name[*slot - 1].path);
	else
		snprintf(answer, CGROUP_PATH_MAX, "cgroup:%llu", (unsigned long long)id);
	return answer;
}

void cgroup_names_container(const char *path, char ret[CGROUP_CONTAINER_MAX])
{
	const char *last = strrchr(path, '/');
	size_t digits = 0;

	ret[0] = 0;
	for (const char *at = last ? last + 1 : path; *at || digits == 64; at++) {
		if (digits == 64 && !isxdigit((unsigned char)*at)) {
			memcpy(ret, at - 64, CGROUP_CONTAINER_MAX - 1);
			ret[CGROUP_CONTAINER_MAX - 1] = 0;
			return;
		}
		digits = isxdigit((unsigned char)*at) ? digits + 1 : 0;
	}
}
