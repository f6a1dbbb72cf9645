/* host_filesystem.c - space, inodes and read-only state of each mounted file system.
 *
 * Inputs: /proc/self/mountinfo and statvfs(), at each slow tick. With HOST_ROOT, only what is
 * mounted at or below it, named as the node names it.
 *
 * statvfs() of a dead NFS server or FUSE process never returns. So the loop itself asks only those
 * file systems that are known to answer from memory and do not lie below one that is not; the
 * others are asked by a thread, made when there are such mounts and ended when it has their
 * answers. While one is stuck no second one is made: its mounts have
 * trimtab_filesystem_device_error 1 and are counted in trimtab_lost_total. The thread has its own
 * copy of all it needs and is left behind at the end; whoever lets go of the copy last frees it.
 *
 * Bounds: HOST_MOUNTS mounts (the rest is counted), one thread. Cost: 15 us for
 * mountinfo and 8 us a mount.
 */
#include "host.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE, FREE, AVAILABLE, FILES, FILES_FREE, READ_ONLY, DEVICE_ERROR, METRICS };

#define GAUGE(name_, help_)                                                                        \
	{                                                                                          \
		name_, METRIC_GAUGE, "device,mountpoint,fstype", help_,                            \
		    "statvfs of each mount in /proc/self/mountinfo"                                \
	}

static const struct metric metrics[METRICS] METRIC = {
    [SIZE] = GAUGE("trimtab_filesystem_size_bytes", "Size of the file system."),
    [FREE] = GAUGE("trimtab_filesystem_free_bytes", "Space that is not used."),
    [AVAILABLE] =
	GAUGE("trimtab_filesystem_avail_bytes", "Space that users other than root can still use."),
    [FILES] = GAUGE("trimtab_filesystem_files", "Inodes of the file system."),
    [FILES_FREE] = GAUGE("trimtab_filesystem_files_free", "Inodes that are not used."),
    [READ_ONLY] =
	GAUGE("trimtab_filesystem_readonly", "1 if the mount or its file system is read-only."),
    [DEVICE_ERROR] = GAUGE("trimtab_filesystem_device_error",
			   "1 if the file system could not be asked or did not answer in time."),
};

/* hold nothing that could run out, or (autofs) would be mounted by being asked */
static const char *const pseudo[] = {
    "autofs",	  "binfmt_misc", "bpf",	     "cgroup",	"cgroup2",   "configfs",   "debugfs",
    "devpts",	  "devtmpfs",	 "efivarfs", "fusectl", "hugetlbfs", "iso9660",	   "mqueue",
    "nsfs",	  "overlay",	 "proc",     "procfs",	"pstore",    "rootfs",	   "rpc_pipefs",
    "securityfs", "selinuxfs",	 "squashfs", "sysfs",	"tracefs",   "fuse.lxcfs", NULL,
};

/* statvfs() of these takes its figures from memory */
static const char *const prompt[] = {
    "ext2", "ext3",  "ext4", "xfs", "btrfs", "bcachefs", "tmpfs",  "ramfs",    "vfat", "exfat",
    "f2fs", "ntfs3", "zfs",  "jfs", "udf",   "erofs",	 "nilfs2", "reiserfs", NULL,
};

struct mount {
	char device[128], fstype[32];
	char path[256];	   /* to ask */
	const char *point; /* what the node calls it: in path */
	bool read_only;
	bool slow; /* to be asked by the thread */
};

struct answer {
	int err;
	struct statvfs space;
};

/* what the thread works on; owned by it and by the host, freed by the last */
struct job {
	atomic_uint owners;
	atomic_uint answered; /* answer[0 .. answered - 1] are written */
	int (*statvfs)(const char *path, struct statvfs *ret);
	unsigned n;
	struct mount mount[HOST_MOUNTS];
	struct answer answer[HOST_MOUNTS];
};

struct host_filesystems {
	unsigned n;
	struct mount mount[HOST_MOUNTS];
	struct job *job; /* NULL: no thread is at work */
};

static void job_release(struct job *job)
{
	if (atomic_fetch_sub(&job->owners, 1) == 1)
		free(job);
}

static bool listed(const char *const *list, const char *name)
{
	while (*list && strcmp(*list, name) != 0)
		list++;
	return *list != NULL;
}

/* The kernel writes blank, tab, newline and backslash as \ooo. False if it does not fit. */
static bool unescape(struct host_text t, char *ret, size_t size)
{
	size_t n = 0;

	for (; t.at < t.end && n + 1 < size; n++) {
		if (t.end - t.at >= 4 && t.at[0] == '\\' && t.at[1] >= '0' && t.at[1] <= '3' &&
		    t.at[2] >= '0' && t.at[2] <= '7' && t.at[3] >= '0' && t.at[3] <= '7') {
			ret[n] =
			    (char)((t.at[1] - '0') << 6 | (t.at[2] - '0') << 3 | (t.at[3] - '0'));
			t.at += 4;
		} else {
			ret[n] = *t.at++;
		}
	}
	ret[n] = 0;
	return t.at == t.end;
}

static bool read_only(struct host_text options)
{
	return host_text_prefix(&options, "ro") &&
	       (options.at == options.end || *options.at == ',');
}

/* Is `path` the folder `folder` or below it? */
static bool below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	if (n > 0 && folder[n - 1] == '/')
		n--;
	return strncmp(path, folder, n) == 0 && (path[n] == 0 || path[n] == '/');
}

enum verdict { KEEP, PASS_OVER, TOO_LONG };

/* id parent major:minor root point options optional... - fstype device super-options */
static enum verdict read_mount(struct host *h, struct host_text line, struct mount *ret)
{
	struct host_text point, options, word, device, super = {0};

	if (!host_text_skip(&line, 4) || !host_text_word(&line, &point) ||
	    !host_text_word(&line, &options))
		return PASS_OVER;
	do {
		if (!host_text_word(&line, &word))
			return PASS_OVER;
	} while (!host_text_is(word, "-"));
	if (!host_text_word(&line, &word) || !host_text_word(&line, &device))
		return PASS_OVER;
	host_text_word(&line, &super);
	host_text_copy(word, ret->fstype, sizeof(ret->fstype));
	if (listed(pseudo, ret->fstype))
		return PASS_OVER;
	unescape(device, ret->device, sizeof(ret->device));
	if (!unescape(point, ret->path, sizeof(ret->path)))
		return TOO_LONG;
	if (!below(ret->path, h->paths.root))
		return PASS_OVER;
	ret->point = ret->path + strlen(h->paths.root);
	if (!*ret->point)
		ret->point = "/";
	ret->read_only = read_only(options) || (super.at && read_only(super));
	ret->slow = !listed(prompt, ret->fstype);
	return host_ignored(&h->ignore_mounts, ret->point) ? PASS_OVER : KEEP;
}

/* A later mount at the same place hides the earlier one. */
static struct mount *place_of(struct host_filesystems *f, const struct mount *m)
{
	for (unsigned i = 0; i < f->n; i++)
		if (strcmp(f->mount[i].path, m->path) == 0)
			return &f->mount[i];
	return f->n < HOST_MOUNTS ? &f->mount[f->n++] : NULL;
}

static void copy_mount(struct mount *to, const struct mount *from)
{
	ptrdiff_t offset = from->point - from->path;

	*to = *from;
	if (offset >= 0 && offset < (ptrdiff_t)sizeof(from->path))
		to->point = to->path + offset;
}

static void read_mounts(struct host *h, struct host_filesystems *f)
{
	struct host_text text, line;
	struct mount mount, *place;
	enum verdict verdict;

	f->n = 0;
	if (host_file_read(h, HOST_MOUNTINFO, &text) < 0)
		return;
	while (host_text_line(&text, &line)) {
		verdict = read_mount(h, line, &mount);
		place = verdict == KEEP ? place_of(f, &mount) : NULL;
		if (place)
			copy_mount(place, &mount);
		else
			h->lost[HOST_LOST_MOUNTS] += verdict != PASS_OVER;
	}
	for (unsigned i = 0; i < f->n; i++)
		for (unsigned j = 0; j < f->n && !f->mount[i].slow; j++)
			f->mount[i].slow =
			    f->mount[j].slow && below(f->mount[i].path, f->mount[j].path);
}

static void set_one(struct host *h, const struct mount *m, int metric, double value)
{
	host_set(h, &metrics[metric], value, "device", m->device, "mountpoint", m->point, "fstype",
		 m->fstype);
}

static void set_mount(struct host *h, const struct mount *m, const struct answer *a)
{
	const struct statvfs *s = &a->space;
	double unit_bytes = (double)s->f_frsize;

	if (a->err == 0 && s->f_blocks == 0)
		return; /* a pseudo file system that the table does not know */
	set_one(h, m, DEVICE_ERROR, a->err != 0);
	set_one(h, m, READ_ONLY, m->read_only);
	if (a->err != 0)
		return;
	set_one(h, m, SIZE, (double)s->f_blocks * unit_bytes);
	set_one(h, m, FREE, (double)s->f_bfree * unit_bytes);
	set_one(h, m, AVAILABLE, (double)s->f_bavail * unit_bytes);
	set_one(h, m, FILES, (double)s->f_files);
	set_one(h, m, FILES_FREE, (double)s->f_ffree);
}

static void ask(int (*call)(const char *path, struct statvfs *ret), const struct mount *m,
		struct answer *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->err = call(m->path, &ret->space) == 0 ? 0 : errno;
}

static void *job_run(void *argument)
{
	struct job *job = argument;

	for (unsigned i = 0; i < job->n; i++) {
		ask(job->statvfs, &job->mount[i], &job->answer[i]);
		atomic_store(&job->answered, i + 1);
	}
	job_release(job);
	return NULL;
}

/* 0 or -errno */
static int start_thread(struct job *job)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	err = pthread_attr_init(&attr);
	if (err)
		return -err;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 << 10);
	sigfillset(&all); /* signals are for the loop's thread */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&thread, &attr, job_run, job);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}

static void job_start(struct host *h, struct host_filesystems *f)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return;
	job->statvfs = h->statvfs;
	for (unsigned i = 0; i < f->n; i++)
		if (f->mount[i].slow)
			copy_mount(&job->mount[job->n++], &f->mount[i]);
	atomic_init(&job->owners, 2);
	if (job->n == 0 || start_thread(job) < 0) {
		h->lost[HOST_LOST_STUCK] += job->n;
		free(job);
		return;
	}
	f->job = job;
}

/* Takes the answers if all are there; at a slow tick says which are late. */
static void job_collect(struct host *h, struct host_filesystems *f)
{
	const struct answer late = {.err = ETIMEDOUT};
	struct job *job = f->job;
	unsigned answered = atomic_load(&job->answered);

	if (answered < job->n && !h->slow)
		return;
	for (unsigned i = 0; i < job->n; i++)
		set_mount(h, &job->mount[i], i < answered ? &job->answer[i] : &late);
	if (answered < job->n) {
		h->lost[HOST_LOST_STUCK] += job->n - answered;
		return;
	}
	job_release(job);
	f->job = NULL;
}

static void filesystem_tick(struct host *h)
{
	struct host_filesystems *f = h->filesystems;
	struct answer answer;

	if (f->job)
		job_collect(h, f);
	if (!h->slow)
		return;
	read_mounts(h, f);
	for (unsigned i = 0; i < f->n; i++) {
		if (f->mount[i].slow)
			continue;
		ask(h->statvfs, &f->mount[i], &answer);
		set_mount(h, &f->mount[i], &answer);
	}
	if (!f->job)
		job_start(h, f);
}

static int filesystem_init(struct host *h)
{
	h->filesystems = calloc(1, sizeof(*h->filesystems));
	return h->filesystems ? 0 : -ENOMEM;
}

static void filesystem_fini(struct host *h)
{
	if (h->filesystems && h->filesystems->job)
		job_release(h->filesystems->job);
	free(h->filesystems);
}

const struct host_part host_filesystem_part = {
    .name = "filesystem",
    .init = filesystem_init,
    .tick = filesystem_tick,
    .fini = filesystem_fini,
};
