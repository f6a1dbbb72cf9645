#define _GNU_SOURCE
#include "request_tls.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "log.h"
#include "maps.h"

#define PROCESSES "request_tls_processes"
#define INIT_PID_NAMESPACE 0xeffffffc /* inode of the node's own */

_Static_assert(SHARED_TLS_PATH == TLS_PATH_MAX, "shared.h and request_tls_find.h disagree");
_Static_assert(SHARED_TLS_PROCESSES > TLS_PROCESSES, "no room for those not watched");

/* Programs that keep the map of processes right. */
static const char *const follow[] = {"request_tls_forked", "request_tls_ended"};

/* --- what is told in shared memory */

static const char *reason_of(int err)
{
	static const struct {
		int err;
		const char *reason;
	} reasons[] = {
	    {-ENOENT, "no OpenSSL found: Go, rustls, GnuTLS, NSS, Java are not seen"},
	    {-ENOEXEC, "no OpenSSL found: it is no program of x86-64"},
	    {-EFBIG, "its symbols are too large to look through"},
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

static void say_watched(struct request_tls *t)
{
	for (int i = 0; i < TLS_PROCESSES; i++) {
		const struct tls_process *from = &t->process[i];
		struct shared_tls_process *p = &t->shared->tls.process[t->said];

		if (!from->pid)
			continue;
		*p = (struct shared_tls_process){.pid = from->pid, .forked = from->forked};
		snprintf(p->comm, sizeof(p->comm), "%s", from->comm);
		snprintf(p->file, sizeof(p->file), "%s", from->path);
		t->said++;
	}
	t->shared->tls.processes_n = t->said;
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
	struct stat st;
	int i;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return -ENOENT;
	i = slot_for(t, st.st_dev, st.st_ino);
	if (i < 0)
		return i;
	t->file[i].wanted = true;
	if (!t->file[i].used) {
		t->file[i] = (struct tls_file){
		    .used = true, .wanted = true, .dev = st.st_dev, .inode = st.st_ino};
		t->file[i].err = request_tls_symbols(fd, &symbols);
		if (!t->file[i].err)
			t->file[i].err = request_tls_events_make(t->tracefs, fd, i, &symbols,
								 t->programs, &t->file[i].events);
	}
	return t->file[i].err ?: i;
}

static void drop_file(struct request_tls *t, struct tls_file *f)
{
	if (f->used && !f->err)
		request_tls_events_drop(t->tracefs, &f->events);
	*f = (struct tls_file){};
}

/* --- processes */

static void close_events(struct tls_process *p)
{
	for (unsigned i = 0; i < p->files_n; i++)
		request_tls_events_detach(p->file[i].fds);
	if (p->guard >= 0)
		close(p->guard);
}

static void release(struct request_tls *t, struct tls_process *p)
{
	uint32_t tgid = p->pid;

	close_events(p);
	bpf_map_delete_elem(probes_map_fd(t->probes, PROCESSES), &tgid);
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

	if (bpf_map_lookup_elem(probes_map_fd(t->probes, PROCESSES), &tgid, &root) || !root ||
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
		bpf_map_update_elem(probes_map_fd(t->probes, PROCESSES), &tgid, &root, BPF_ANY);
	} else if (!p->files_n) {
		release(t, p);
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

static void look_at(struct request_tls *t, pid_t pid, const char *comm)
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

/* --- a look */

/* Deletes the entries of a map whose processes are gone, or all; their keys hold the thread group
 * at an offset. */
static void forget_entries(struct request_tls *t, const char *map, size_t tgid_at, bool all)
{
	char key[2][16], *before = NULL, *now = key[0];
	int fd = probes_map_fd(t->probes, map);
	uint32_t tgid = 0, last = 0;
	bool gone = all;

	while (fd >= 0 && !bpf_map_get_next_key(fd, before, now)) {
		if (gone && before)
			bpf_map_delete_elem(fd, before);
		memcpy(&tgid, now + tgid_at, sizeof(tgid));
		if (tgid != last && !all)
			gone = kill(tgid, 0) && errno == ESRCH;
		last = tgid;
		before = now;
		now = now == key[0] ? key[1] : key[0];
	}
	if (gone && before)
		bpf_map_delete_elem(fd, before);
}

static void forget_all_entries(struct request_tls *t, bool all)
{
	forget_entries(t, PROCESSES, 0, all);
	forget_entries(t, "request_tls_threads", 4, all);
	forget_entries(t, "request_tls_connections", 8, all);
}

/* A process that is gone, or does not match any more, keeps its uprobes as long as others have them
 * from it. */
static bool has_heirs(struct request_tls *t, const struct tls_process *p)
{
	int fd = probes_map_fd(t->probes, PROCESSES);
	uint32_t *before = NULL, key, next, root, own = p - t->process + 1;

	for (; !bpf_map_get_next_key(fd, before, &next); before = &key) {
		key = next;
		if ((pid_t)key != p->pid && !bpf_map_lookup_elem(fd, &key, &root) && root == own)
			return true;
	}
	return false;
}

static void end_look(struct request_tls *t)
{
	forget_all_entries(t, false);
	for (int i = 0; i < TLS_PROCESSES; i++) {
		struct tls_process *p = &t->process[i];

		if (p->pid && !p->seen && !has_heirs(t, p))
			release(t, p);
		for (unsigned j = 0; j < p->files_n; j++)
			t->file[p->file[j].file].wanted = true;
	}
	for (int i = 0; i < TLS_FILES; i++)
		if (t->file[i].used && !t->file[i].wanted)
			drop_file(t, &t->file[i]);
}

static void begin_look(struct request_tls *t)
{
	for (int i = 0; i < TLS_PROCESSES; i++) {
		t->process[i].seen = false;
		t->process[i].forked = 0;
	}
	for (int i = 0; i < TLS_FILES; i++)
		t->file[i].wanted = false;
	t->said = 0;
	t->shared->tls.left_out = 0;
}

static void look(struct request_tls *t)
{
	DIR *proc = opendir("/proc");
	char comm[TLS_COMM_MAX];
	struct dirent *e;
	pid_t pid;

	if (!proc)
		return;
	begin_look(t);
	while ((e = readdir(proc))) {
		pid = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? atoi(e->d_name) : 0;
		if (pid && request_tls_matches(pid, &t->watched, comm))
			look_at(t, pid, comm);
	}
	closedir(proc);
	end_look(t);
	say_watched(t);
}

/* --- on and off */

static void stop(struct request_tls *t)
{
	for (int i = 0; i < TLS_PROCESSES; i++)
		if (t->process[i].pid)
			release(t, &t->process[i]);
	for (int i = 0; i < TLS_FILES; i++)
		drop_file(t, &t->file[i]);
	for (size_t i = 0; i < sizeof(follow) / sizeof(*follow); i++)
		probes_attach(t->probes, follow[i], false);
	for (int i = 0; i < TLS_PLACES; i++)
		probes_say_attached(t->probes, tls_programs[i], false);
	forget_all_entries(t, true);
	if (t->tracefs >= 0)
		close(t->tracefs);
	t->tracefs = -1;
	if (t->text)
		regfree(&t->watched);
	free(t->text);
	t->text = NULL;
	t->due_ns = UINT64_MAX;
	t->shared->tls.processes_n = t->shared->tls.left_out = 0;
}

/* The numbers of processes that programs see are those of the node. */
static bool sees_the_node(void)
{
	struct stat st;

	return !stat("/proc/self/ns/pid", &st) && st.st_ino == INIT_PID_NAMESPACE;
}

static int prepare(struct request_tls *t, const struct config *config)
{
	int err = sees_the_node() ? probes_load_tls(t->probes, config) : -EXDEV;

	for (size_t i = 0; i < sizeof(follow) / sizeof(*follow) && !err; i++)
		err = probes_attach(t->probes, follow[i], true);
	for (int i = 0; i < TLS_PLACES && !err; i++) {
		t->programs[i] = probes_program_fd(t->probes, tls_programs[i]);
		err = t->programs[i] < 0 ? t->programs[i] : 0;
	}
	if (err)
		return err;
	t->tracefs = request_tls_tracefs();
	return t->tracefs < 0 ? t->tracefs : 0;
}

static void start(struct request_tls *t, const struct config *config, uint64_t now)
{
	int err;

	if (!config->request.enabled || !config->request.tls[0]) {
		probes_say(t->probes, "tls", PROBE_OFF, "request.tls is empty");
		return;
	}
	t->text = strdup(config->request.tls);
	if (!t->text || regcomp(&t->watched, t->text, REG_EXTENDED | REG_NOSUB)) {
		free(t->text);
		t->text = NULL;
		return;
	}
	err = prepare(t, config);
	if (err) {
		if (err == -EXDEV || probes_loaded(t->probes, "tls"))
			probes_say(t->probes, "tls", PROBE_FAILED,
				   err == -EXDEV ? "not in the node's PID namespace (hostPID: true)"
						 : "no tracefs: mount it at /sys/kernel/tracing");
		stop(t);
		return;
	}
	for (int i = 0; i < TLS_PLACES; i++)
		probes_say_attached(t->probes, tls_programs[i], true);
	probes_say(t->probes, "tls", PROBE_ATTACHED, "");
	t->due_ns = now;
}

void request_tls_init(struct request_tls *t, struct probes *p, struct shared *s,
		      const struct config *config, uint64_t now)
{
	*t = (struct request_tls){.probes = p, .shared = s, .tracefs = -1, .due_ns = UINT64_MAX};
	start(t, config, now);
}

void request_tls_set(struct request_tls *t, const struct config *config, uint64_t now)
{
	if (t->text && config->request.enabled && !strcmp(t->text, config->request.tls)) {
		t->due_ns = now;
		return;
	}
	stop(t);
	start(t, config, now);
}

void request_tls_run(struct request_tls *t, uint64_t now)
{
	if (now < t->due_ns)
		return;
	look(t);
	t->due_ns = now + REQUEST_TLS_NS;
}

void request_tls_forget(struct request_tls *t)
{
	for (int i = 0; i < TLS_PROCESSES; i++)
		if (t->process[i].pid)
			close_events(&t->process[i]);
	for (int i = 0; i < TLS_FILES; i++)
		if (t->file[i].used && !t->file[i].err)
			request_tls_events_detach(t->file[i].events.holder);
	if (t->tracefs >= 0)
		close(t->tracefs);
}

void request_tls_fini(struct request_tls *t)
{
	stop(t);
}
