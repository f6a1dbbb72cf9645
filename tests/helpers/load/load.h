/* load.h - what the commands of the load maker share. */
#ifndef TRIMTAB_LOAD_H
#define TRIMTAB_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>

#define COUNT_MAX 4294967296ULL
#define TIMED_MAX 1000000ULL
#define HELD_MAX 16384ULL
#define SIZE_MAX_BYTES (16ULL << 20)
#define THREADS_MAX 256ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_S 1000000000ULL

/* The command line. */
struct load {
	char *const *arg; /* what follows the command's name, options taken out */
	int args;
	int cpu[2]; /* -1: anywhere */
	uint64_t hold_ms, bytes, backlog, delay_ms, timeout_ms, seconds, seed;
	uint64_t connections, pipeline, fail;
	bool direct, dsync, read, fsync, rst, no_accept, migrate, cut, defer;
};

/* --- common.c */

uint64_t now_ns(void);
struct timespec timespec_of(uint64_t ns);
/* Both print to standard error and return the exit status. */
int fail(int error, const char *what);
int bad(const char *what, const char *text);
bool number(const char *text, uint64_t max, uint64_t *ret);
int pin(int cpu); /* 0 or -errno; -1: anywhere */

/* Durations of single calls, and what the thread had of the CPU since timed_new(). */
struct timed {
	uint64_t *ns;
	size_t n;
	uint64_t cpu_ns, run_delay_ns; /* at the start */
};

bool timed_new(struct timed *t, uint64_t n);
void timed_print(struct timed *t); /* as JSON members; frees it */
int done(uint64_t start_ns);	   /* ends the JSON line; returns the exit status */

int compare_ns(const void *a, const void *b); /* for qsort */
void spin_until(uint64_t ns);
bool child_done(pid_t pid); /* waits for it: did it end with 0? */

/* --- the commands; each returns the exit status */

bool wait_sleep(int fd, uint64_t ms); /* whether it slept; fd is not used */

void call_names_print(FILE *out);
int run_call(struct load *l);
int run_threads(struct load *l);
int run_pattern(struct load *l);

int run_pingpong(struct load *l);
int run_sleep(struct load *l);
int run_pipe_wait(struct load *l);
int run_pipe_readv(struct load *l);
int run_epoll_wait(struct load *l);
int run_epoll_pwait2(struct load *l);
int run_futex_wait(struct load *l);

int run_write(struct load *l);
int run_discard(struct load *l);

/* Both return the exit status; an address that is a path is a unix socket's. The first says "ready
 * PORT" on standard output. */
int socket_listen(const char *on, const char *port, int backlog, int *ret_fd);
int socket_connect(const char *to, const char *port, uint64_t timeout_ms, int *ret_fd);

int run_connect(struct load *l);
int run_refused(struct load *l);
int run_get(struct load *l);
int run_listen(struct load *l);

int run_serve(struct load *l);
int run_ask(struct load *l);

int run_spin(struct load *l);
int run_fork(struct load *l);

#endif
