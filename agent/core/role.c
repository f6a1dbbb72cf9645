#define _GNU_SOURCE
#include "role.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "log.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#define CHECK_LEAKS() __lsan_do_leak_check() /* _exit() leaves it out */
#else
#define CHECK_LEAKS() ((void)0)
#endif

#define STOP_MS 1000

void role_init(struct role_process *r, struct shared_role *shared, const char *name,
	       int (*main)(void *arg, int keeper_fd), void *arg)
{
	*r = (struct role_process){.shared = shared,
				   .main = main,
				   .arg = arg,
				   .fd = -1,
				   .backoff_ns = ROLE_BACKOFF_MIN_NS,
				   .due_ns = 0,
				   .watch_due_ns = UINT64_MAX};
	snprintf(shared->name, sizeof(shared->name), "%s", name);
}

int role_start(struct role_process *r, uint64_t now)
{
	int fds[2], status;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -errno;
	pid = fork();
	if (pid < 0) {
		close(fds[0]);
		close(fds[1]);
		return -errno;
	}
	if (pid == 0) {
		close(fds[0]);
		status = r->main(r->arg, fds[1]);
		CHECK_LEAKS();
		_exit(status);
	}
	close(fds[1]);
	r->fd = fds[0];
	r->pid = pid;
	r->started_ns = now;
	r->due_ns = UINT64_MAX;
	r->beats = r->start_beats = __atomic_load_n(&r->shared->beats, __ATOMIC_RELAXED);
	r->silent = 0;
	r->watch_due_ns = now;
	r->shared->pid = pid;
	r->shared->started_ns = now;
	return 0;
}

static void say_end(const struct role_process *r, int status)
{
	if (WIFSIGNALED(status))
		log_warn("keeper", "role %s ended by signal %d (%s); restarting in %llu ms",
			 r->shared->name, WTERMSIG(status), strsignal(WTERMSIG(status)),
			 (unsigned long long)r->backoff_ns / 1000000);
	else
		log_warn("keeper", "role %s ended with status %d; restarting in %llu ms",
			 r->shared->name, WEXITSTATUS(status),
			 (unsigned long long)r->backoff_ns / 1000000);
}

static void forget(struct role_process *r, int status)
{
	close(r->fd);
	r->fd = -1;
	r->pid = 0;
	r->watch_due_ns = UINT64_MAX;
	r->shared->pid = 0;
	r->shared->last_status = status;
}

bool role_ended(struct role_process *r, int status, uint64_t now)
{
	bool healthy = now - r->started_ns >= ROLE_HEALTHY_NS;
	bool never_ran = __atomic_load_n(&r->shared->beats, __ATOMIC_RELAXED) == r->start_beats;
	bool refused = WIFEXITED(status) && WEXITSTATUS(status) == ROLE_EXIT_CONFIG && never_ran;

	forget(r, status);
	if (healthy)
		r->backoff_ns = ROLE_BACKOFF_MIN_NS;
	if (!refused)
		say_end(r, status);
	r->shared->restarts++;
	r->due_ns = now + r->backoff_ns;
	r->backoff_ns *= 2;
	if (r->backoff_ns > ROLE_BACKOFF_MAX_NS)
		r->backoff_ns = ROLE_BACKOFF_MAX_NS;
	return refused;
}

void role_watch(struct role_process *r, uint64_t hang_ns, uint64_t now)
{
	uint64_t beats;

	if (r->pid <= 0 || now < r->watch_due_ns)
		return;
	r->watch_due_ns = now + hang_ns / ROLE_WATCH_LOOKS;
	beats = __atomic_load_n(&r->shared->beats, __ATOMIC_RELAXED);
	if (beats != r->beats) {
		r->beats = beats;
		r->silent = 0;
		return;
	}
	if (++r->silent <= ROLE_WATCH_LOOKS)
		return;
	log_error("keeper", "role %s has not run for %llu s (agent.hang_ms): killing it",
		  r->shared->name, (unsigned long long)hang_ns / 1000000000);
	r->silent = 0;
	kill(r->pid, SIGKILL);
}

/* Waits without a race: the socket's other end closes when the process is gone. */
static void wait_end(struct role_process *r)
{
	struct pollfd closed = {.fd = r->fd, .events = POLLIN};
	char discard[64];

	while (poll(&closed, 1, STOP_MS) > 0)
		if (recv(r->fd, discard, sizeof(discard), 0) <= 0)
			return;
}

void role_stop(struct role_process *r)
{
	pid_t pid = r->pid;
	int status = 0;

	if (pid <= 0)
		return;
	kill(pid, SIGTERM);
	wait_end(r);
	if (waitpid(pid, &status, WNOHANG) != pid) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	forget(r, status);
}
