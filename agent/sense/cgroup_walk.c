/* cgroup_walk.c - see cgroup_walk.h.
 *
 * Inputs: mountinfo, and the directories of cgroupfs, which any user may list. A cgroup without
 * children is known from its link count, so that only inner directories are listed.
 * Bounds: the caller's number of directories, DEPTH levels, paths of WALK_PATH bytes: what lies
 * beyond is counted. Cost: 3 us a leaf, about 30 us an inner directory.
 */
#include "cgroup_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "host.h"

#define DEPTH 16
#define WALK_PATH 1024

static const char *const controllers[CGROUP_HIERARCHIES] = {
    [CGROUP_MEMORY] = "memory", [CGROUP_CPU] = "cpu",	[CGROUP_CPUACCT] = "cpuacct",
    [CGROUP_BLKIO] = "blkio",	[CGROUP_PIDS] = "pids",
};

static bool has_option(struct host_text options, const char *name)
{
	struct host_text option;

	while (host_text_until(&options, ',', &option))
		if (host_text_is(option, name))
			return true;
	return host_text_is(options, name);
}

/* id parent major:minor root point options optional... - fstype device super-options */
static void read_mount(struct host_text line, struct cgroup_mounts *mounts)
{
	struct host_text point, word, type, options = {0};
	bool wanted;

	if (!host_text_skip(&line, 4) || !host_text_word(&line, &point))
		return;
	do {
		if (!host_text_word(&line, &word))
			return;
	} while (!host_text_is(word, "-"));
	if (!host_text_word(&line, &type) || !host_text_skip(&line, 1) ||
	    !host_text_word(&line, &options) || point.end - point.at >= CGROUP_MOUNT_MAX)
		return;
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++) {
		wanted = i == CGROUP_V2
			     ? host_text_is(type, "cgroup2")
			     : host_text_is(type, "cgroup") && has_option(options, controllers[i]);
		if (wanted && !*mounts->at[i])
			host_text_copy(point, mounts->at[i], CGROUP_MOUNT_MAX);
	}
}

int cgroup_walk_mounts(const char *mountinfo, struct cgroup_mounts *ret)
{
	struct cgroup_mounts mounts = {0};
	struct host_text text, line;
	char *buffer = malloc(HOST_BUFFER_BYTES);
	bool any = false;
	int err;

	if (!buffer)
		return -ENOMEM;
	err = host_file_slurp(mountinfo, buffer, HOST_BUFFER_BYTES, &text);
	if (err < 0)
		goto out;
	while (host_text_line(&text, &line))
		read_mount(line, &mounts);
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++)
		any = any || *mounts.at[i];
	if (any)
		*ret = mounts;
	else
		err = -ENOENT;
out:
	free(buffer);
	return err;
}

struct walk {
	void (*visit)(void *argument, const struct cgroup_dir *dir);
	void *argument;
	unsigned room, left_out;
	char path[WALK_PATH];
};

static void walk_dir(struct walk *w, int fd, size_t used, unsigned depth, const struct stat *st);

static void visit(struct walk *w, size_t used, const struct stat *st, bool leaf)
{
	const struct cgroup_dir dir = {
	    .path = used ? w->path : "/",
	    .id = st->st_ino,
	    .leaf = leaf,
	};

	w->visit(w->argument, &dir);
}

/* name: an entry of the directory fd, whose path are the first `used` bytes of w->path. Is it a
 * directory? */
static bool walk_entry(struct walk *w, int fd, size_t used, unsigned depth, const char *name)
{
	size_t longer = used + 1 + strlen(name);
	struct stat st;
	int child;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return false;
	if (w->room == 0 || depth >= DEPTH || longer >= WALK_PATH) {
		w->left_out++;
		return true;
	}
	w->room--;
	w->path[used] = '/';
	strcpy(w->path + used + 1, name);
	if (st.st_nlink == 2)
		visit(w, longer, &st, true);
	else if ((child = openat(fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)) >= 0)
		walk_dir(w, child, longer, depth, &st);
	w->path[used] = 0;
	return true;
}

/* Takes fd. */
static void walk_dir(struct walk *w, int fd, size_t used, unsigned depth, const struct stat *st)
{
	/* cgroupfs counts a directory's subdirectories in its links, above 2; some others do not */
	unsigned dirs = 0, expected = st->st_nlink >= 2 ? (unsigned)st->st_nlink - 2 : ~0U;
	DIR *dir = fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		close(fd);
		return;
	}
	while (dirs < expected && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' &&
		    (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN))
			dirs += walk_entry(w, dirfd(dir), used, depth + 1, entry->d_name);
	closedir(dir);
	visit(w, used, st, dirs == 0);
}

unsigned cgroup_walk(const char *mount, unsigned max,
		     void (*each)(void *argument, const struct cgroup_dir *dir), void *argument)
{
	struct walk w = {.visit = each, .argument = argument, .room = max ? max - 1 : 0};
	struct stat st;
	int fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0)
		close(fd);
	else
		walk_dir(&w, fd, 0, 0, &st);
	return w.left_out;
}

void cgroup_walk_shorten(const char *path, char ret[CGROUP_PATH_MAX])
{
	size_t n = strlen(path);

	if (n < CGROUP_PATH_MAX)
		memcpy(ret, path, n + 1);
	else
		snprintf(ret, CGROUP_PATH_MAX, "...%s", path + n - (CGROUP_PATH_MAX - 4));
}
