/* call.c - syscalls of a kind: in a row, in several threads, at chosen moments. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

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

void call_names_print(FILE *out)
{
	fprintf(out, "NAME:");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		fprintf(out, " %s", kinds[i].name);
	fprintf(out, "\n");
}

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

int run_call(struct load *l)
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

int run_threads(struct load *l)
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
		qsort(moment_ns, n, sizeof(*moment_ns), compare_ns);
	} else if (!strcmp(pattern, "poisson")) {
		for (uint64_t i = 0; i < n; i++)
			moment_ns[i] = random_next(&seed) % span_ns;
		qsort(moment_ns, n, sizeof(*moment_ns), compare_ns);
	} else {
		return bad("not a pattern (steady, burst, poisson)", pattern);
	}
	return 0;
}

int run_pattern(struct load *l)
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
