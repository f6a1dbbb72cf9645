#define _GNU_SOURCE
#include "request_tls_private.h"

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

#define INIT_PID_NAMESPACE 0xeffffffc /* inode of the node's own */

/* Programs that keep the map of processes right. */
static const char *const follow[] = {"request_tls_forked", "request_tls_ended"};

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
	forget_entries(t, REQUEST_TLS_MAP, 0, all);
	forget_entries(t, "request_tls_threads", 4, all);
	forget_entries(t, "request_tls_connections", 8, all);
}

/* A process that is gone, or does not match any more, keeps its uprobes as long as others have them
 * from it. */
static bool has_heirs(struct request_tls *t, const struct tls_process *p)
{
	int fd = probes_map_fd(t->probes, REQUEST_TLS_MAP);
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
			request_tls_release(t, p);
		for (unsigned j = 0; j < p->files_n; j++)
			t->file[p->file[j].file].wanted = true;
	}
	for (int i = 0; i < TLS_FILES; i++)
		if (t->file[i].used && !t->file[i].wanted)
			request_tls_drop_file(t, &t->file[i]);
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
			request_tls_take(t, pid, comm);
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
			request_tls_release(t, &t->process[i]);
	for (int i = 0; i < TLS_FILES; i++)
		request_tls_drop_file(t, &t->file[i]);
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
			request_tls_close(&t->process[i]);
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
