/* wait.c - calls that block for a known time; two processes that wake each other. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int run_pingpong(struct load *l)
{
	int there[2], back[2];
	uint64_t n, start_ns;
	char byte = 0;
	pid_t pid;

	if (!number(l->arg[0], COUNT_MAX, &n))
		return bad("not a count", l->arg[0]);
	if (pipe(there) || pipe(back))
		return fail(errno, "pipe");
	start_ns = now_ns();
	pid = fork();
	if (pid < 0)
		return fail(errno, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (pin(l->cpu[1] >= 0 ? l->cpu[1] : l->cpu[0]))
			_exit(1);
		for (uint64_t i = 0; i < n; i++)
			if (read(there[0], &byte, 1) != 1 || write(back[1], &byte, 1) != 1)
				_exit(1);
		_exit(0);
	}
	close(there[0]); /* so that a child that ends early is seen, not waited for */
	close(back[1]);
	signal(SIGPIPE, SIG_IGN);
	for (uint64_t i = 0; i < n; i++)
		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
			return fail(errno ? errno : EPIPE, "ping-pong");
	if (!child_done(pid))
		return fail(ECHILD, "the other process");
	printf("{\"command\":\"pingpong\",\"round_trips\":%" PRIu64 ",\"reads\":%" PRIu64
	       ",\"writes\":%" PRIu64,
	       n, 2 * n, 2 * n);
	return done(start_ns);
}

bool wait_sleep(int fd, uint64_t ms)
{
	struct timespec t = timespec_of(ms * NS_PER_MS);

	return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &t, NULL) == 0;
}

static bool wait_pipe(int fd, uint64_t ms)
{
	char byte;

	return read(fd, &byte, 1) == 1;
}

static bool wait_readv(int fd, uint64_t ms)
{
	char byte;
	struct iovec v = {.iov_base = &byte, .iov_len = 1};

	return readv(fd, &v, 1) == 1;
}

static bool wait_epoll(int fd, uint64_t ms)
{
	struct epoll_event e;

	return syscall(SYS_epoll_wait, fd, &e, 1, (int)ms) == 0;
}

static bool wait_epoll_pwait2(int fd, uint64_t ms)
{
	struct timespec t = timespec_of(ms * NS_PER_MS);
	struct epoll_event e;

	return syscall(SYS_epoll_pwait2, fd, &e, 1, &t, NULL, 0) == 0;
}

static bool wait_futex(int fd, uint64_t ms)
{
	struct timespec t = timespec_of(ms * NS_PER_MS);
	uint32_t word = 0;

	return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0) < 0 &&
	       errno == ETIMEDOUT;
}

/* The other end of pipe_wait: N times asleep for ms, then one byte. */
static pid_t pipe_writer(uint64_t n, uint64_t ms, int *ret_fd)
{
	int fd[2];
	pid_t pid;

	if (pipe(fd))
		return -1;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (uint64_t i = 0; i < n; i++)
			if (!wait_sleep(-1, ms) || write(fd[1], "x", 1) != 1)
				_exit(1);
		_exit(0);
	}
	close(fd[1]);
	*ret_fd = fd[0];
	return pid;
}

static int wait_n(struct load *l, const char *name, bool (*wait)(int fd, uint64_t ms))
{
	struct timed t;
	uint64_t n, ms, start_ns;
	pid_t pid = 0;
	int fd = -1;

	if (!number(l->arg[0], TIMED_MAX, &n))
		return bad("not a count", l->arg[0]);
	if (!number(l->arg[1], 3600000, &ms))
		return bad("not a number of milliseconds", l->arg[1]);
	if (!timed_new(&t, n))
		return 2;
	start_ns = now_ns();
	if (wait == wait_pipe || wait == wait_readv)
		pid = pipe_writer(n, ms, &fd);
	else if (wait == wait_epoll || wait == wait_epoll_pwait2)
		fd = epoll_create1(0);
	if (pid < 0 || (fd < 0 && wait != wait_sleep && wait != wait_futex))
		return fail(errno, name);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t call_ns = now_ns();

		if (!wait(fd, ms))
			return fail(errno, name);
		t.ns[t.n++] = now_ns() - call_ns;
	}
	if (pid > 0 && !child_done(pid))
		return fail(ECHILD, "the other process");
	printf("{\"command\":\"%s\",\"calls\":%" PRIu64 ",\"errors\":%" PRIu64, name, n,
	       wait == wait_futex ? n : 0);
	timed_print(&t);
	return done(start_ns);
}

int run_sleep(struct load *l)
{
	return wait_n(l, "sleep", wait_sleep);
}

int run_pipe_wait(struct load *l)
{
	return wait_n(l, "pipe_wait", wait_pipe);
}

int run_pipe_readv(struct load *l)
{
	return wait_n(l, "pipe_readv", wait_readv);
}

int run_epoll_pwait2(struct load *l)
{
	return wait_n(l, "epoll_pwait2", wait_epoll_pwait2);
}

int run_epoll_wait(struct load *l)
{
	return wait_n(l, "epoll_wait", wait_epoll);
}

int run_futex_wait(struct load *l)
{
	return wait_n(l, "futex_wait", wait_futex);
}
