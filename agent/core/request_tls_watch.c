#define _GNU_SOURCE
#include "request_tls_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bpf/bpf.h>

_Static_assert(SHARED_TLS_PATH == TLS_PATH_MAX, "shared.h and request_tls_find.h disagree");
_Static_assert(SHARED_TLS_PROCESSES > TLS_PROCESSES, "no room for those not watched");

/* --- why a process is not watched */

static const char *reason_of(int err)
{
	static const struct {
		int err;
		const char *reason;
	} reasons[] = {
	    {-ENOENT, "no OpenSSL found: Go, rustls, GnuTLS, NSS, Java are not seen"},
	    {-ENOEXEC, "no OpenSSL found: it is no program of x86-64"},
	    {-EFBIG, "its symbols are too large to look through"},
	    {-EOPNOTSUPP, "the kernel takes no uprobes by tracefs (CONFIG_UPROBE_EVENTS)"},
	    {-ENOSPC, "too many processes or files are watched already"},
	    {-EMFILE, "too many open files: raise the keeper's limit (LimitNOFILE=)"},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
		if (err == reasons[i].err)
			return reasons[i].reason;
	return strerror(-err);
}

/* Those that cannot be watched come first, in the half that is theirs. */
static void say_not(struct request_tls *t, pid_t pid, const char *comm, const char *file, int err)
{
	struct shared_tls *s = &t->shared->tls;
	struct shared_tls_process *p = &s->process[t->said];

	if (t->said == SHARED_TLS_PROCESSES - TLS_PROCESSES) {
		s->left_out++;
		return;
	}
	*p = (struct shared_tls_process){.pid = pid};
	snprintf(p->comm, sizeof(p->comm), "%.15s", comm);
	snprintf(p->file, sizeof(p->file), "%s", file);
	snprintf(p->reason, sizeof(p->reason), "%s", reason_of(err));
	t->said++;
}

/* --- files */

static int slot_for(struct request_tls *t, dev_t dev, ino_t inode)
{
	int empty = -ENOSPC;

	for (int i = 0; i < TLS_FILES; i++) {
		const struct tls_file *f = &t->file[i];

		if (f->used && f->dev == dev && f->inode == inode)
			return i;
		if (!f->used && empty < 0)
			empty = i;
	}
	return empty;
}

/* The index of a file that can be attached to, or -errno. What is found out is kept for as long as
 * some process has the file. */
static int file_of(struct request_tls *t, int fd)
{
	struct tls_symbols symbols;
	struct tls_file *f;
	struct stat st;
	int i;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return -ENOENT;
	i = slot_for(t, st.st_dev, st.st_ino);
	if (i < 0)
		return i;
	f = &t->file[i];
	if (!f->used) {
		*f = (struct tls_file){.used = true, .dev = st.st_dev, .inode = st.st_ino};
		f->err = request_tls_symbols(fd, &symbols);
		if (!f->err &&
		    request_tls_events_make(t->tracefs, fd, i, &symbols, t->programs, &f->events))
			f->err = -EOPNOTSUPP;
	}
	f->wanted = true;
	return f->err ?: i;
}

void request_tls_drop_file(struct request_tls *t, struct tls_file *f)
{
	if (f->used && !f->err)
		request_tls_events_drop(t->tracefs, &f->events);
	*f = (struct tls_file){};
}

/* --- processes */

void request_tls_close(struct tls_process *p)
{
	for (unsigned i = 0; i < p->files_n; i++)
		request_tls_events_detach(p->file[i].fds);
	if (p->guard >= 0)
		close(p->guard);
}

void request_tls_release(struct request_tls *t, struct tls_process *p)
{
	uint32_t tgid = p->pid;

	request_tls_close(p);
	bpf_map_delete_elem(probes_map_fd(t->probes, REQUEST_TLS_MAP), &tgid);
	*p = (struct tls_process){};
}

static struct tls_process *process_of(struct request_tls *t, pid_t pid, uint64_t started)
{
	struct tls_process *empty = NULL, *p;

	for (int i = 0; i < TLS_PROCESSES; i++) {
		p = &t->process[i];
		if (p->pid == pid && p->started == started)
			return p;
		if (!p->pid && !empty)
			empty = p;
	}
	if (empty)
		*empty = (struct tls_process){
		    .pid = pid, .started = started, .guard = request_tls_events_guard(pid)};
	return empty;
}

static bool has_file(const struct tls_process *p, unsigned file)
{
	for (unsigned i = 0; i < p->files_n; i++)
		if (p->file[i].file == file)
			return true;
	return false;
}

/* The process whose uprobes this one has by inheritance. */
static struct tls_process *root_of(struct request_tls *t, pid_t pid, unsigned file)
{
	uint32_t tgid = pid, root = 0;
	struct tls_process *p;

	if (bpf_map_lookup_elem(probes_map_fd(t->probes, REQUEST_TLS_MAP), &tgid, &root) || !root ||
	    root > TLS_PROCESSES)
		return NULL;
	p = &t->process[root - 1];
	return p->pid && p->pid != pid && has_file(p, file) ? p : NULL;
}

/* The uprobes first: what forks in between is attached to by the next look. */
static int attach(struct request_tls *t, pid_t pid, uint64_t started, const char *comm,
		  const char *path, unsigned file)
{
	struct tls_process *p = process_of(t, pid, started);
	uint32_t tgid = pid, root;
	int err;

	if (!p)
		return -ENOSPC;
	p->seen = true;
	root = p - t->process + 1;
	if (has_file(p, file))
		return 0;
	err = p->files_n == TLS_FILES_EACH
		  ? -ENOSPC
		  : request_tls_events_attach(&t->file[file].events, pid, p->file[p->files_n].fds);
	if (!err) {
		if (!p->files_n)
			snprintf(p->path, sizeof(p->path), "%s", path);
		snprintf(p->comm, sizeof(p->comm), "%.15s", comm);
		p->file[p->files_n++].file = file;
		bpf_map_update_elem(probes_map_fd(t->probes, REQUEST_TLS_MAP), &tgid, &root,
				    BPF_ANY);
	} else if (!p->files_n) {
		request_tls_release(t, p);
	}
	return err;
}

/* What was forked is left to the process that forked it. If that one was forked itself, both are
 * attached to: see request_tls_events.h. */
static int attach_unless_forked(struct request_tls *t, pid_t pid, const char *comm,
				const char *path, unsigned file)
{
	struct tls_process *root = root_of(t, pid, file);
	char parents_comm[TLS_COMM_MAX];
	uint64_t started;
	pid_t parent, other;

	if (!request_tls_origin(pid, &started, &parent))
		return -ESRCH;
	if (root && root->pid == parent) {
		root->forked++;
		return 0;
	}
	if (root && root_of(t, parent, file) == root && request_tls_comm(parent, parents_comm)) {
		uint64_t parents_start;

		if (request_tls_origin(parent, &parents_start, &other))
			attach(t, parent, parents_start, parents_comm, path, file);
	}
	return attach(t, pid, started, comm, path, file);
}

/* Sees to what a process has OpenSSL from. 0 or -errno. */
static int take_library(struct request_tls *t, pid_t pid, const char *comm, struct tls_library *l)
{
	int file = file_of(t, l->fd);

	close(l->fd);
	return file < 0 ? file : attach_unless_forked(t, pid, comm, l->path, file);
}

void request_tls_take(struct request_tls *t, pid_t pid, const char *comm)
{
	struct tls_library library[TLS_FILES_EACH];
	unsigned n = request_tls_libraries(pid, library, TLS_FILES_EACH);
	int result = -ENOENT, one;

	for (unsigned i = 0; i < n; i++) {
		one = take_library(t, pid, comm, &library[i]);
		if (!one || result == -ENOENT)
			result = one;
	}
	if (result == -ENOENT) {
		if (!request_tls_executable(pid, &library[0]))
			return;
		result = take_library(t, pid, comm, &library[0]);
	}
	if (result && result != -ESRCH)
		say_not(t, pid, comm, library[0].path, result);
}
