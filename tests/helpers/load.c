/* load.c - makes exactly the load that it is told to and says in one JSON line what it did.
 *
 * The counts are the truth that tests hold trimtab against, so each is checked: a call that does
 * not end as its kind must ends the program with status 1. Where a duration matters, each call is
 * also timed from outside and the line gives the smallest, the median, the largest and the sum, and
 * how much of the time of the loop the thread ran (cpu_ns) or waited for a CPU (run_delay_ns): what
 * is left of the sum is the time that it was blocked.
 *
 * In:      command line only (usage below); addresses are numeric IPv4 or IPv6
 * Out:     one JSON line on standard output (get: the body instead), errors on standard error;
 *          0 done as told, 1 failed, 2 wrong usage
 * Bounds:  counts to 2^32, timed calls to 10^6, held connections to 16,384, sizes to 16 MiB
 * Needs:   libc only, also -static: it runs in the initramfs of the kernel matrix too
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COUNT_MAX 4294967296ULL
#define TIMED_MAX 1000000ULL
#define HELD_MAX 16384ULL
#define SIZE_MAX_BYTES (16ULL << 20)
#define THREADS_MAX 256ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_S 1000000000ULL

struct load {
	char *const *arg; /* what follows the command's name, options taken out */
	int args;
	int cpu[2]; /* -1: anywhere */
	uint64_t hold_ms, bytes, backlog, delay_ms, timeout_ms, seconds, seed;
	bool direct, dsync, read, fsync, rst, no_accept, migrate;
};

struct timed {
	uint64_t *ns;
	size_t n;
	uint64_t cpu_ns, run_delay_ns; /* at the start */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S),
				 .tv_nsec = (long)(ns % NS_PER_S)};
}

static int fail(int error, const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(error));
	return 1;
}

static int bad(const char *what, const char *text)
{
	fprintf(stderr, "load: %s: \"%s\"; see load --help\n", what, text);
	return 2;
}

static bool number(const char *text, uint64_t max, uint64_t *ret)
{
	char *end;
	uint64_t v;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || v > max)
		return false;
	*ret = v;
	return true;
}

static int pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

static int order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* How long this thread was runnable without a CPU; 0 on a kernel that does not say. */
static uint64_t run_delay_ns(void)
{
	uint64_t delay_ns = 0;
	FILE *f = fopen("/proc/thread-self/schedstat", "re");

	if (!f)
		return 0;
	if (fscanf(f, "%*u %" SCNu64, &delay_ns) != 1)
		delay_ns = 0;
	fclose(f);
	return delay_ns;
}

static bool timed_new(struct timed *t, uint64_t n)
{
	t->n = 0;
	t->run_delay_ns = run_delay_ns();
	t->cpu_ns = cpu_ns();
	t->ns = n <= TIMED_MAX ? calloc(n + 1, sizeof(*t->ns)) : NULL;
	if (!t->ns)
		fprintf(stderr, "load: at most %llu timed calls\n", TIMED_MAX);
	return t->ns != NULL;
}

static void timed_print(struct timed *t)
{
	uint64_t sum = 0, cpu = cpu_ns() - t->cpu_ns;

	qsort(t->ns, t->n, sizeof(*t->ns), order);
	for (size_t i = 0; i < t->n; i++)
		sum += t->ns[i];
	printf(",\"call_ns_min\":%" PRIu64 ",\"call_ns_median\":%" PRIu64
	       ",\"call_ns_max\":%" PRIu64 ",\"call_ns_sum\":%" PRIu64 ",\"cpu_ns\":%" PRIu64
	       ",\"run_delay_ns\":%" PRIu64,
	       t->ns[0], t->n ? t->ns[t->n / 2] : 0, t->n ? t->ns[t->n - 1] : 0, sum, cpu,
	       run_delay_ns() - t->run_delay_ns);
	free(t->ns);
}

static int done(uint64_t start_ns)
{
	printf(",\"elapsed_ns\":%" PRIu64 "}\n", now_ns() - start_ns);
	return fflush(stdout) ? 1 : 0;
}

/* --- syscalls of a kind --- */

/* arguments that only exist at run time */
#define ARG_FD (-1001L)
#define ARG_BUFFER (-1002L)
#define ARG_PATH (-1003L)
#define ARG_TIME (-1004L)
#define TO_BUFFER                                                                                  \
	{                                                                                          \
		ARG_FD, ARG_BUFFER, 1                                                              \
	}

static const struct kind {
	const char *name;
	long nr;
	long arg[4];
	const char *file; /* opened as ARG_FD */
	int error;	  /* how each call must end; 0: it must succeed */
	bool sleeps;
} kinds[] = {
    {.name = "getppid", .nr = SYS_getppid},
    {.name = "getuid", .nr = SYS_getuid},
    {.name = "geteuid", .nr = SYS_geteuid},
    {.name = "getgid", .nr = SYS_getgid},
    {.name = "getegid", .nr = SYS_getegid},
    {.name = "getpgid", .nr = SYS_getpgid},
    {.name = "getsid", .nr = SYS_getsid},
    {.name = "gettid", .nr = SYS_gettid},
    {.name = "getpriority", .nr = SYS_getpriority},
    {.name = "times", .nr = SYS_times},
    {.name = "sched_yield", .nr = SYS_sched_yield},
    {.name = "sched_getscheduler", .nr = SYS_sched_getscheduler},
    {.name = "read_zero", .nr = SYS_read, .arg = TO_BUFFER, .file = "/dev/zero"},
    {.name = "pread_zero", .nr = SYS_pread64, .arg = TO_BUFFER, .file = "/dev/zero"},
    {.name = "read_eof", .nr = SYS_read, .arg = TO_BUFFER, .file = "/dev/null"},
    {.name = "write_null", .nr = SYS_write, .arg = TO_BUFFER, .file = "/dev/null"},
    {.name = "close_bad", .nr = SYS_close, .arg = {-1}, .error = EBADF},
    {.name = "fsync_bad", .nr = SYS_fsync, .arg = {-1}, .error = EBADF},
    {.name = "fdatasync_bad", .nr = SYS_fdatasync, .arg = {-1}, .error = EBADF},
    {.name = "lseek_bad", .nr = SYS_lseek, .arg = {-1}, .error = EBADF},
    {.name = "open_enoent", .nr = SYS_openat, .arg = {AT_FDCWD, ARG_PATH}, .error = ENOENT},
    {.name = "unlink_enoent", .nr = SYS_unlinkat, .arg = {AT_FDCWD, ARG_PATH}, .error = ENOENT},
    {.name = "getsid_esrch", .nr = SYS_getsid, .arg = {0x7fffffff}, .error = ESRCH},
    {.name = "sched_get_priority_max", .nr = SYS_sched_get_priority_max},
    {.name = "sched_get_priority_min", .nr = SYS_sched_get_priority_min},
    {.name = "ioprio_get", .nr = SYS_ioprio_get, .arg = {1}},
    {.name = "personality", .nr = SYS_personality, .arg = {0xffffffff}},
    {.name = "tee_bad", .nr = SYS_tee, .arg = {-1, -1, 1}, .error = EBADF},
    {.name = "readahead_bad", .nr = SYS_readahead, .arg = {-1}, .error = EBADF},
    {.name = "inotify_rm_watch_bad", .nr = SYS_inotify_rm_watch, .arg = {-1}, .error = EBADF},
    {.name = "timer_delete_bad", .nr = SYS_timer_delete, .arg = {-1}, .error = EINVAL},
    {.name = "shmctl_bad", .nr = SYS_shmctl, .arg = {-1, 0}, .error = EINVAL},
    {.name = "msgctl_bad", .nr = SYS_msgctl, .arg = {-1, 0}, .error = EINVAL},
    {.name = "chroot_enoent", .nr = SYS_chroot, .arg = {ARG_PATH}, .error = ENOENT},
    {.name = "getitimer_fault", .nr = SYS_getitimer, .arg = {0, 1}, .error = EFAULT},
    {.name = "sched_getparam_esrch",
     .nr = SYS_sched_getparam,
     .arg = {0x7fffffff, ARG_BUFFER},
     .error = ESRCH},
    {.name = "nanosleep", .nr = SYS_nanosleep, .arg = {ARG_TIME}, .sleeps = true},
    {.name = "clock_nanosleep",
     .nr = SYS_clock_nanosleep,
     .arg = {CLOCK_MONOTONIC, 0, ARG_TIME},
     .sleeps = true},
    {.name = "ppoll_timeout", .nr = SYS_ppoll, .arg = {0, 0, ARG_TIME}, .sleeps = true},
};

struct call {
	const struct kind *kind;
	long arg[4];
	struct timespec time;
	char buffer[8];
	int fd;
};

static int call_prepare(const char *name, uint64_t sleep_ns, struct call *c)
{
	const struct kind *k = NULL;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && !k; i++)
		if (!strcmp(kinds[i].name, name))
			k = &kinds[i];
	if (!k)
		return bad("unknown kind of syscall", name);
	*c = (struct call){.kind = k, .time = timespec_of(sleep_ns), .fd = -1};
	if (k->file && (c->fd = open(k->file, O_RDWR | O_CLOEXEC)) < 0)
		return fail(errno, k->file);
	for (int i = 0; i < 4; i++) {
		long a = k->arg[i];

		c->arg[i] = a == ARG_FD	      ? c->fd
			    : a == ARG_BUFFER ? (long)c->buffer
			    : a == ARG_PATH   ? (long)"/nonexistent-for-load"
			    : a == ARG_TIME   ? (long)&c->time
					      : a;
	}
	return 0;
}

/* One system call and no more. */
static inline bool call_once(struct call *c)
{
	struct timespec left = c->time; /* ppoll writes what is left of its timeout */
	long r = syscall(c->kind->nr, c->arg[0], c->arg[1], c->arg[2], c->arg[3]);

	c->time = left;
	return c->kind->error ? r < 0 && errno == c->kind->error : r >= 0;
}

static void spin_until(uint64_t ns)
{
	while (now_ns() < ns)
		;
}

static int run_call(struct load *l)
{
	uint64_t n, us = 0, start_ns, i;
	struct timed t = {0};
	struct call c;
	int r;

	if (!number(l->arg[1], COUNT_MAX, &n))
		return bad("not a count", l->arg[1]);
	if (l->args > 2 && !number(l->arg[2], 3600000000ULL, &us))
		return bad("not a number of microseconds", l->arg[2]);
	r = call_prepare(l->arg[0], us * 1000, &c);
	if (r || (c.kind->sleeps && !timed_new(&t, n)))
		return r ? r : 2;
	start_ns = now_ns();
	for (i = 0; i < n; i++) {
		uint64_t call_ns = c.kind->sleeps || us ? now_ns() : 0;

		if (!call_once(&c))
			return fail(errno, "a call did not end as it must");
		if (c.kind->sleeps)
			t.ns[t.n++] = now_ns() - call_ns;
		else if (us)
			spin_until(call_ns + us * 1000);
	}
	printf("{\"command\":\"call\",\"name\":\"%s\",\"calls\":%" PRIu64 ",\"errors\":%" PRIu64,
	       c.kind->name, i, c.kind->error ? i : 0);
	if (c.kind->sleeps)
		timed_print(&t);
	return done(start_ns);
}

/* --- N syscalls of a kind in each of several threads --- */

struct worker {
	pthread_t thread;
	struct call call;
	uint64_t n;
	int tid; /* 0: not yet running */
	bool ended;
	int error; /* errno of a call that did not end as it must */
};

static void *work(void *arg)
{
	struct worker *w = arg;
	int error = 0;

	__atomic_store_n(&w->tid, (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
	for (uint64_t i = 0; i < w->n && !error; i++)
		if (!call_once(&w->call))
			error = errno ? errno : EPROTO;
	w->error = error;
	__atomic_store_n(&w->ended, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Moves the threads from CPU to CPU, in and between their calls, until they have ended. */
static uint64_t migrate(struct worker *w, uint64_t threads)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct timespec pause = {.tv_nsec = 1000000};
	uint64_t moves = 0, ended;
	cpu_set_t set;

	for (unsigned turn = 0;; turn++) {
		ended = 0;
		for (uint64_t i = 0; i < threads; i++) {
			int tid = __atomic_load_n(&w[i].tid, __ATOMIC_ACQUIRE);

			if (__atomic_load_n(&w[i].ended, __ATOMIC_ACQUIRE)) {
				ended++;
				continue;
			}
			CPU_ZERO(&set);
			CPU_SET((turn + i) % (uint64_t)cpus, &set);
			moves += tid && !sched_setaffinity(tid, sizeof(set), &set);
		}
		if (ended == threads)
			return moves;
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	}
}

static int run_threads(struct load *l)
{
	uint64_t n, threads, us = 0, start_ns, moves = 0, started;
	static struct worker w[THREADS_MAX];
	int r = 0;

	if (!number(l->arg[1], COUNT_MAX, &n))
		return bad("not a count", l->arg[1]);
	if (!number(l->arg[2], THREADS_MAX, &threads) || !threads)
		return bad("not a number of threads (1 to 256)", l->arg[2]);
	if (l->args > 3 && !number(l->arg[3], 3600000000ULL, &us))
		return bad("not a number of microseconds", l->arg[3]);
	start_ns = now_ns();
	for (started = 0; started < threads && !r; started++) {
		w[started].n = n;
		r = call_prepare(l->arg[0], us * 1000, &w[started].call);
		if (!r && pthread_create(&w[started].thread, NULL, work, &w[started]))
			r = fail(EAGAIN, "thread");
	}
	if (r)
		return r;
	if (l->migrate)
		moves = migrate(w, threads);
	for (uint64_t i = 0; i < threads; i++) {
		pthread_join(w[i].thread, NULL);
		if (w[i].error)
			r = fail(w[i].error, "a call did not end as it must");
	}
	if (r)
		return r;
	printf("{\"command\":\"threads\",\"name\":\"%s\",\"calls\":%" PRIu64 ",\"errors\":%" PRIu64
	       ",\"moves\":%" PRIu64,
	       w[0].call.kind->name, n * threads, w[0].call.kind->error ? n * threads : 0, moves);
	return done(start_ns);
}

/* --- N calls at chosen moments --- */

static uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL; /* splitmix64 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* A Poisson process that is known to have had N arrivals has them where N sorted uniform numbers
 * are; a burst is the same with few moments, each shared by many calls. */
static int pattern_moments(const char *pattern, uint64_t n, uint64_t span_ns, uint64_t seed,
			   uint64_t *moment_ns)
{
	const uint64_t bursts = n < 20 ? n : 20;

	if (!strcmp(pattern, "steady")) {
		for (uint64_t i = 0; i < n; i++)
			moment_ns[i] = (uint64_t)((double)span_ns * (double)i / (double)n);
	} else if (!strcmp(pattern, "burst")) {
		for (uint64_t i = 0, m = 0; i < n; i++) {
			if (i * bursts / n != (i ? (i - 1) * bursts / n : bursts))
				m = random_next(&seed) % span_ns;
			moment_ns[i] = m;
		}
		qsort(moment_ns, n, sizeof(*moment_ns), order);
	} else if (!strcmp(pattern, "poisson")) {
		for (uint64_t i = 0; i < n; i++)
			moment_ns[i] = random_next(&seed) % span_ns;
		qsort(moment_ns, n, sizeof(*moment_ns), order);
	} else {
		return bad("not a pattern (steady, burst, poisson)", pattern);
	}
	return 0;
}

static int run_pattern(struct load *l)
{
	uint64_t n, seconds, start_ns, sleeps = 0, seed = l->seed ? l->seed : now_ns();
	uint64_t *moment_ns;
	struct call c;
	int r;

	if (!number(l->arg[1], 10000000, &n) || !n)
		return bad("not a count (1 to 10000000)", l->arg[1]);
	if (!number(l->arg[3], 3600, &seconds) || !seconds)
		return bad("not a number of seconds (1 to 3600)", l->arg[3]);
	r = call_prepare(l->arg[0], 0, &c);
	if (r)
		return r;
	moment_ns = calloc(n, sizeof(*moment_ns));
	if (!moment_ns)
		return fail(ENOMEM, "moments");
	r = pattern_moments(l->arg[2], n, seconds * NS_PER_S, seed, moment_ns);
	start_ns = now_ns();
	for (uint64_t i = 0; i < n && !r; i++) {
		uint64_t due_ns = start_ns + moment_ns[i];
		/* waits of less than this are spun: a sleep would come back late */
		uint64_t sleep_ns = due_ns - 100000;
		struct timespec t = timespec_of(sleep_ns);

		if (sleep_ns > now_ns()) {
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
			sleeps++;
		}
		spin_until(due_ns);
		if (!call_once(&c))
			r = fail(errno, "a call did not end as it must");
	}
	free(moment_ns);
	if (r)
		return r;
	spin_until(start_ns + seconds * NS_PER_S);
	printf("{\"command\":\"pattern\",\"name\":\"%s\",\"pattern\":\"%s\",\"calls\":%" PRIu64
	       ",\"errors\":%" PRIu64 ",\"sleeps\":%" PRIu64 ",\"seed\":%" PRIu64
	       ",\"start_ns\":%" PRIu64,
	       c.kind->name, l->arg[2], n, c.kind->error ? n : 0, sleeps, seed, start_ns);
	return done(start_ns);
}

/* --- waits --- */

static bool child_done(pid_t pid)
{
	int status = 0;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status);
}

static int run_pingpong(struct load *l)
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

static bool wait_sleep(int fd, uint64_t ms)
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

static int run_sleep(struct load *l)
{
	return wait_n(l, "sleep", wait_sleep);
}

static int run_pipe_wait(struct load *l)
{
	return wait_n(l, "pipe_wait", wait_pipe);
}

static int run_pipe_readv(struct load *l)
{
	return wait_n(l, "pipe_readv", wait_readv);
}

static int run_epoll_pwait2(struct load *l)
{
	return wait_n(l, "epoll_pwait2", wait_epoll_pwait2);
}

static int run_epoll_wait(struct load *l)
{
	return wait_n(l, "epoll_wait", wait_epoll);
}

static int run_futex_wait(struct load *l)
{
	return wait_n(l, "futex_wait", wait_futex);
}

/* --- disk --- */

static int disk_open(struct load *l, int flags, uint64_t *ret_n, uint64_t *ret_size,
		     uint64_t *ret_device_bytes, int *ret_fd)
{
	struct stat s;
	int fd;

	*ret_device_bytes = 0;
	if (!number(l->arg[1], COUNT_MAX, ret_n))
		return bad("not a count", l->arg[1]);
	if (!number(l->arg[2], SIZE_MAX_BYTES, ret_size) || !*ret_size)
		return bad("not a size in bytes (1 to 16777216)", l->arg[2]);
	fd = open(l->arg[0], flags | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(fd, &s))
		return fail(errno, l->arg[0]);
	if (S_ISBLK(s.st_mode) && ioctl(fd, BLKGETSIZE64, ret_device_bytes))
		return fail(errno, l->arg[0]);
	if (!S_ISBLK(s.st_mode) && l->read)
		*ret_device_bytes = (uint64_t)s.st_size;
	if (*ret_device_bytes && *ret_device_bytes < *ret_size)
		return fail(ENOSPC, "smaller than one transfer");
	*ret_fd = fd;
	return 0;
}

/* --direct: each transfer is one request while SIZE is at most the device's max_sectors_kb. Devices
 * (and files being read) are gone through in order, from the start again at their end. */
static int run_write(struct load *l)
{
	int flags = l->read ? O_RDONLY : O_WRONLY | O_CREAT;
	uint64_t n, size, whole, start_ns, i;
	struct timed t;
	void *buffer;
	int fd, r;

	flags |= (l->direct ? O_DIRECT : 0) | (l->dsync ? O_DSYNC : 0);
	r = disk_open(l, flags, &n, &size, &whole, &fd);
	if (r)
		return r;
	if (!timed_new(&t, n))
		return 2;
	if (l->direct && size % 512)
		return bad("not a multiple of 512, as --direct needs", l->arg[2]);
	if (posix_memalign(&buffer, 4096, size))
		return fail(ENOMEM, "buffer");
	memset(buffer, 0x5a, size);
	start_ns = now_ns();
	for (i = 0; i < n; i++) {
		off_t at = (off_t)((whole ? i % (whole / size) : i) * size);
		uint64_t call_ns = now_ns();
		ssize_t moved =
		    l->read ? pread(fd, buffer, size, at) : pwrite(fd, buffer, size, at);

		t.ns[t.n++] = now_ns() - call_ns;
		if (moved != (ssize_t)size)
			return fail(moved < 0 ? errno : EIO, l->arg[0]);
		if (l->fsync && fsync(fd))
			return fail(errno, "fsync");
	}
	free(buffer);
	close(fd);
	printf("{\"command\":\"write\",\"op\":\"%s\",\"direct\":%s,\"ios\":%" PRIu64
	       ",\"bytes\":%" PRIu64 ",\"fsyncs\":%" PRIu64,
	       l->read ? "read" : "write", l->direct ? "true" : "false", i, i * size,
	       l->fsync ? i : 0);
	timed_print(&t);
	return done(start_ns);
}

static int run_discard(struct load *l)
{
	uint64_t n, size, whole, start_ns, i;
	int fd, r;

	r = disk_open(l, O_WRONLY, &n, &size, &whole, &fd);
	if (r)
		return r;
	if (!whole)
		return fail(ENOTBLK, l->arg[0]);
	start_ns = now_ns();
	for (i = 0; i < n; i++) {
		uint64_t range[2] = {i % (whole / size) * size, size};

		if (ioctl(fd, BLKDISCARD, range))
			return fail(errno, l->arg[0]);
	}
	close(fd);
	printf("{\"command\":\"discard\",\"ios\":%" PRIu64 ",\"bytes\":%" PRIu64, i, i * size);
	return done(start_ns);
}

/* --- TCP --- */

static int address(const char *text, const char *port, struct sockaddr_storage *ret,
		   socklen_t *ret_size)
{
	struct sockaddr_in *v4 = (void *)ret;
	struct sockaddr_in6 *v6 = (void *)ret;
	uint64_t p;

	if (!number(port, 65535, &p))
		return bad("not a port", port);
	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)p);
		*ret_size = sizeof(*v4);
	} else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)p);
		*ret_size = sizeof(*v6);
	} else {
		return bad("not a numeric address", text);
	}
	return 0;
}

static void descriptors_raise(void)
{
	struct rlimit r;

	if (!getrlimit(RLIMIT_NOFILE, &r)) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static bool send_all(int fd, uint64_t bytes)
{
	static const char zeros[16384];

	while (bytes) {
		ssize_t sent =
		    send(fd, zeros, bytes < sizeof(zeros) ? bytes : sizeof(zeros), MSG_NOSIGNAL);

		if (sent < 0)
			return false;
		bytes -= (uint64_t)sent;
	}
	return true;
}

static void tcp_close(int fd, bool rst)
{
	struct linger l = {.l_onoff = 1};

	if (rst)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(fd);
}

/* 0, or what connect() said; EINPROGRESS: no answer in timeout_ms. */
static int tcp_connect(const struct sockaddr_storage *to, socklen_t size, uint64_t timeout_ms,
		       int *ret_fd)
{
	struct timeval t = {.tv_sec = (time_t)(timeout_ms / 1000),
			    .tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000)};
	int fd = socket(to->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	r = connect(fd, (const struct sockaddr *)to, size) ? errno : 0;
	if (r)
		close(fd);
	else
		*ret_fd = fd;
	return r;
}

static int connect_n(struct load *l, const char *name, bool want_refused)
{
	uint64_t n, start_ns, refused = 0, unanswered = 0, connected = 0;
	int *held = NULL, fd = -1, r;
	struct sockaddr_storage to;
	socklen_t size;

	r = address(l->arg[0], l->arg[1], &to, &size);
	if (r)
		return r;
	if (!number(l->arg[2], l->hold_ms ? HELD_MAX : COUNT_MAX, &n))
		return bad("not a count (with --hold at most 16384)", l->arg[2]);
	descriptors_raise();
	held = calloc(l->hold_ms ? n + 1 : 1, sizeof(*held));
	if (!held)
		return fail(ENOMEM, "connections");
	start_ns = now_ns();
	for (uint64_t i = 0; i < n; i++) {
		r = tcp_connect(&to, size, l->timeout_ms, &fd);
		refused += r == ECONNREFUSED;
		unanswered += r == EINPROGRESS;
		if (r && r != ECONNREFUSED && r != EINPROGRESS)
			return fail(r, "connect");
		if (r)
			continue;
		if (!send_all(fd, l->bytes))
			return fail(errno, "send");
		if (l->hold_ms)
			held[connected] = fd;
		else
			tcp_close(fd, l->rst);
		connected++;
	}
	if (l->hold_ms) {
		wait_sleep(-1, l->hold_ms);
		for (uint64_t i = 0; i < connected; i++)
			tcp_close(held[i], l->rst);
	}
	free(held);
	printf("{\"command\":\"%s\",\"connections\":%" PRIu64 ",\"refused\":%" PRIu64
	       ",\"unanswered\":%" PRIu64 ",\"bytes\":%" PRIu64,
	       name, connected, refused, unanswered, connected * l->bytes);
	done(start_ns);
	return (want_refused ? refused : connected) == n ? 0 : 1;
}

static int run_connect(struct load *l)
{
	return connect_n(l, "connect", false);
}

static int run_refused(struct load *l)
{
	return connect_n(l, "refused", true);
}

/* One HTTP/1.0 request; the body goes to standard output. Any status but 200 is a failure. */
static int run_get(struct load *l)
{
	char buffer[65536 + 1], *body = NULL;
	struct sockaddr_storage to;
	socklen_t size;
	size_t had = 0;
	ssize_t got;
	int fd = -1, r;

	r = address(l->arg[0], l->arg[1], &to, &size);
	if (r)
		return r;
	r = tcp_connect(&to, size, l->timeout_ms, &fd);
	if (r)
		return fail(r, "connect");
	if (dprintf(fd, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", l->arg[2], l->arg[0]) < 0)
		return fail(errno, "send");
	/* the head must fit the buffer; the body then goes through it */
	while (!body && had < sizeof(buffer) - 1) {
		got = read(fd, buffer + had, sizeof(buffer) - 1 - had);
		if (got <= 0)
			return fail(got ? errno : EPROTO, "answer");
		had += (size_t)got;
		buffer[had] = 0;
		body = strstr(buffer, "\r\n\r\n");
	}
	if (!body || strncmp(buffer, "HTTP/1.", 7) || strncmp(buffer + 8, " 200 ", 5)) {
		fprintf(stderr, "load: %s: %.60s\n", l->arg[2], buffer);
		return 1;
	}
	body += 4;
	fwrite(body, 1, had - (size_t)(body - buffer), stdout);
	while ((got = read(fd, buffer, sizeof(buffer))) > 0)
		fwrite(buffer, 1, (size_t)got, stdout);
	close(fd);
	return got < 0 || fflush(stdout) ? fail(errno, "answer") : 0;
}

struct listener {
	int fd, epoll, signals;
	uint64_t wanted, accepted, open, bytes, resets;
};

static int listener_open(struct load *l, struct listener *s)
{
	struct sockaddr_storage at;
	socklen_t size;
	sigset_t set;
	int one = 1, r;

	*s = (struct listener){.fd = -1};
	r = address(l->arg[0], l->arg[1], &at, &size);
	if (r)
		return r;
	if (!number(l->arg[2], COUNT_MAX, &s->wanted))
		return bad("not a count", l->arg[2]);
	descriptors_raise();
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->signals < 0 || s->epoll < 0 || s->fd < 0)
		return fail(errno, "listen");
	setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s->fd, (struct sockaddr *)&at, size) || listen(s->fd, (int)l->backlog) ||
	    getsockname(s->fd, (struct sockaddr *)&at, &size))
		return fail(errno, "listen");
	/* the port is at the same place in both families */
	printf("ready %d\n", ntohs(((struct sockaddr_in *)&at)->sin_port));
	return fflush(stdout) ? 1 : 0;
}

static bool watch(int epoll, int fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}

static bool listener_accept(struct load *l, struct listener *s)
{
	int fd;

	if (l->delay_ms)
		wait_sleep(-1, l->delay_ms);
	fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return errno == EAGAIN || errno == ECONNABORTED;
	s->accepted++;
	s->open++;
	if (s->accepted == s->wanted)
		epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->fd, NULL);
	return watch(s->epoll, fd);
}

static void listener_drain(struct listener *s, int fd)
{
	char buffer[16384];
	ssize_t got = read(fd, buffer, sizeof(buffer));

	if (got > 0)
		s->bytes += (uint64_t)got;
	if (got > 0 || (got < 0 && errno == EAGAIN))
		return;
	s->resets += got < 0;
	s->open--;
	close(fd);
}

/* Serves until N connections came and went, or SIGTERM, or --seconds. */
static int run_listen(struct load *l)
{
	struct listener s;
	struct epoll_event e;
	uint64_t start_ns = now_ns(), end_ns = start_ns + l->seconds * NS_PER_S;
	bool ended = false;
	int r = listener_open(l, &s);

	if (r)
		return r;
	if (!watch(s.epoll, s.signals) || (s.wanted && !l->no_accept && !watch(s.epoll, s.fd)))
		return fail(errno, "epoll");
	while (!ended && now_ns() < end_ns && (l->no_accept || s.accepted < s.wanted || s.open)) {
		if (epoll_wait(s.epoll, &e, 1, (int)((end_ns - now_ns()) / NS_PER_MS) + 1) != 1)
			continue;
		if (e.data.fd == s.signals)
			ended = true;
		else if (e.data.fd != s.fd)
			listener_drain(&s, e.data.fd);
		else if (!listener_accept(l, &s))
			return fail(errno, "accept");
	}
	printf("{\"command\":\"listen\",\"accepted\":%" PRIu64 ",\"bytes\":%" PRIu64
	       ",\"resets\":%" PRIu64,
	       s.accepted, s.bytes, s.resets);
	done(start_ns);
	return ended || l->no_accept || s.accepted == s.wanted ? 0 : 1;
}

/* --- CPU --- */

static int run_spin(struct load *l)
{
	uint64_t seconds, start_ns = now_ns();

	if (!number(l->arg[0], 3600, &seconds))
		return bad("not a number of seconds (to 3600)", l->arg[0]);
	spin_until(start_ns + seconds * NS_PER_S);
	printf("{\"command\":\"spin\",\"seconds\":%" PRIu64, seconds);
	return done(start_ns);
}

static int run_fork(struct load *l)
{
	uint64_t n, start_ns = now_ns();

	if (!number(l->arg[0], 1000000, &n))
		return bad("not a count (to 1000000)", l->arg[0]);
	for (uint64_t i = 0; i < n; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		if (pid < 0 || !child_done(pid))
			return fail(errno, "fork");
	}
	printf("{\"command\":\"fork\",\"forks\":%" PRIu64, n);
	return done(start_ns);
}

/* --- command line --- */

static const struct command {
	const char *name;
	int args_min, args_max;
	int (*run)(struct load *l);
	const char *usage;
} commands[] = {
    {"call", 2, 3, run_call, "NAME N [US]   N syscalls; US apart, or asleep if NAME sleeps"},
    {"threads", 3, 4, run_threads, "NAME N THREADS [US] [--migrate]   N in each thread"},
    {"pattern", 4, 4, run_pattern, "NAME N steady|burst|poisson SECONDS [--seed S]"},
    {"pingpong", 1, 1, run_pingpong, "N [--cpu A B]   round trips of two processes"},
    {"sleep", 2, 2, run_sleep, "N MS   clock_nanosleep"},
    {"pipe_wait", 2, 2, run_pipe_wait, "N MS   reads that wait for a writer that sleeps MS"},
    {"pipe_readv", 2, 2, run_pipe_readv, "N MS   the same with readv"},
    {"epoll_wait", 2, 2, run_epoll_wait, "N MS   that time out"},
    {"epoll_pwait2", 2, 2, run_epoll_pwait2, "N MS   that time out"},
    {"futex_wait", 2, 2, run_futex_wait, "N MS   that time out"},
    {"write", 3, 3, run_write, "FILE N SIZE [--direct] [--dsync] [--read] [--fsync, after each]"},
    {"discard", 3, 3, run_discard, "DEVICE N SIZE"},
    {"connect", 3, 3, run_connect,
     "ADDR PORT N [--hold MS, all at once] [--bytes B] [--rst] [--timeout MS]"},
    {"refused", 3, 3, run_refused, "ADDR PORT N"},
    {"listen", 3, 3, run_listen,
     "ADDR PORT N [--backlog B] [--no-accept] [--delay MS] [--seconds S]"},
    {"get", 3, 3, run_get, "ADDR PORT PATH [--timeout MS]   an HTTP body, to standard output"},
    {"spin", 1, 1, run_spin, "SECONDS"},
    {"fork", 1, 1, run_fork, "N   one after the other"},
};

static int usage(FILE *out)
{
	fprintf(out, "usage: load COMMAND ... [--cpu C]\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].usage);
	fprintf(out, "NAME:");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		fprintf(out, " %s", kinds[i].name);
	fprintf(out, "\n");
	return out == stdout ? 0 : 2;
}

/* Takes option argv[*i] and its values; false if it is none or a value is wrong. */
static bool option_take(struct load *l, int argc, char **argv, int *i)
{
	const struct {
		const char *name;
		bool *flag;
		uint64_t *value;
		uint64_t max;
	} options[] = {
	    {"--direct", .flag = &l->direct},
	    {"--dsync", .flag = &l->dsync},
	    {"--read", .flag = &l->read},
	    {"--fsync", .flag = &l->fsync},
	    {"--rst", .flag = &l->rst},
	    {"--no-accept", .flag = &l->no_accept},
	    {"--migrate", .flag = &l->migrate},
	    {"--hold", .value = &l->hold_ms, .max = 3600000},
	    {"--bytes", .value = &l->bytes, .max = 1ULL << 40},
	    {"--backlog", .value = &l->backlog, .max = 65535},
	    {"--delay", .value = &l->delay_ms, .max = 3600000},
	    {"--timeout", .value = &l->timeout_ms, .max = 3600000},
	    {"--seconds", .value = &l->seconds, .max = 3600},
	    {"--seed", .value = &l->seed, .max = UINT64_MAX},
	};
	uint64_t v;

	for (size_t k = 0; k < sizeof(options) / sizeof(options[0]); k++) {
		if (strcmp(argv[*i], options[k].name))
			continue;
		if (options[k].flag)
			return *options[k].flag = true;
		return ++*i < argc && number(argv[*i], options[k].max, options[k].value);
	}
	if (strcmp(argv[*i], "--cpu"))
		return false;
	for (int k = 0; k < (!strcmp(argv[1], "pingpong") ? 2 : 1); k++) {
		if (++*i >= argc || !number(argv[*i], CPU_SETSIZE - 1, &v))
			return false;
		l->cpu[k] = (int)v;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct load l = {.cpu = {-1, -1}, .backlog = 128, .timeout_ms = 5000, .seconds = 60};
	const struct command *c = NULL;
	int kept = 0, r;

	if (argc > 1 && !strcmp(argv[1], "--help"))
		return usage(stdout);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]) && argc > 1; i++)
		if (!strcmp(argv[1], commands[i].name))
			c = &commands[i];
	if (!c)
		return usage(stderr);
	for (int i = 2; i < argc; i++) {
		if (strncmp(argv[i], "--", 2))
			argv[2 + kept++] = argv[i];
		else if (!option_take(&l, argc, argv, &i))
			return bad("wrong option or value", argv[i < argc ? i : argc - 1]);
	}
	l.arg = argv + 2;
	l.args = kept;
	if (kept < c->args_min || kept > c->args_max)
		return usage(stderr);
	r = pin(l.cpu[0]);
	return r ? fail(-r, "--cpu") : c->run(&l);
}
