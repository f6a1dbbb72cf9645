#define _GNU_SOURCE
#include "sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "agent.h"
#include "log.h"
#include "maps.h"

void sweep_init(struct sweep *s, struct probes *p, struct shared *shared, uint64_t period_ns,
		double budget_ratio, uint64_t now)
{
	struct stat st;

	*s = (struct sweep){.probes = p,
			    .shared = shared,
			    .period_ns = period_ns,
			    .due_ns = now,
			    .lookup_due_ns = now,
			    .stretch = 1,
			    .budget_ratio = budget_ratio,
			    .own_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)};
	if (!probes_maps(p)->tcp_totals)
		s->due_ns = UINT64_MAX;
	if (s->own_fd >= 0 && !fstat(s->own_fd, &st))
		s->own_inode = st.st_ino;
}

static void note_namespace(struct sweep *s, const char *pid)
{
	char path[300];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%s/ns/net", pid);
	if (stat(path, &st) || st.st_ino == s->own_inode)
		return;
	for (uint32_t i = 0; i < s->namespaces_n; i++)
		if (s->namespace[i].inode == st.st_ino)
			return;
	if (s->namespaces_n == SWEEP_NAMESPACES) {
		s->shared->tcp_namespaces_left_out++;
		return;
	}
	s->namespace[s->namespaces_n++] =
	    (struct sweep_namespace){.inode = st.st_ino, .pid = atoi(pid)};
}

static void look_up_namespaces(struct sweep *s)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;

	s->namespaces_n = 0;
	if (!proc)
		return;
	while ((e = readdir(proc)))
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
			note_namespace(s, e->d_name);
	closedir(proc);
}

/* Sweeps the namespace of a process, unless the process has left it since. */
static void sweep_namespace(struct sweep *s, const struct sweep_namespace *n)
{
	char path[40];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", n->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (!fstat(fd, &st) && st.st_ino == n->inode && !setns(fd, CLONE_NEWNET))
		probes_sweep_tcp(s->probes);
	close(fd);
}

/* The sweep counts states into the half that readers do not look at, then turns the halves. */
static void sweep_all(struct sweep *s)
{
	struct tcp_totals *t = probes_maps(s->probes)->tcp_totals;
	int err;

	memset(t->states[(t->sweep + 1) & 1], 0, sizeof(t->states[0]));
	__atomic_store_n(&t->sweep, t->sweep + 1, __ATOMIC_RELEASE);
	err = probes_sweep_tcp(s->probes);
	if (err)
		log_warn("keeper", "cannot walk the TCP sockets: %s", strerror(-err));
	if (s->own_fd >= 0) {
		for (uint32_t i = 0; i < s->namespaces_n; i++)
			sweep_namespace(s, &s->namespace[i]);
		if (setns(s->own_fd, CLONE_NEWNET) && s->namespaces_n)
			log_error("keeper", "cannot return to the own network namespace: %s",
				  strerror(errno));
	}
	probes_first_sweep_done(s->probes);
	__atomic_store_n(&t->swept, t->sweep, __ATOMIC_RELEASE);
}

static uint64_t thread_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void sweep_run(struct sweep *s, uint64_t now)
{
	uint64_t cpu_ns = thread_cpu_ns(), rest;

	if (now < s->due_ns)
		return;
	if (now >= s->lookup_due_ns) {
		look_up_namespaces(s);
		s->lookup_due_ns = now + SWEEP_LOOKUP_NS;
	}
	sweep_all(s);
	s->shared->tcp_sweep_ns = agent_now_ns() - now;
	rest = (thread_cpu_ns() - cpu_ns) / (SWEEP_SHARE * s->budget_ratio);
	if (rest < s->period_ns)
		rest = s->period_ns;
	s->due_ns = now + rest * s->stretch;
}

void sweep_fini(struct sweep *s)
{
	if (s->own_fd >= 0)
		close(s->own_fd);
}
