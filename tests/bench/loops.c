/* loops.c - the loops that a tracer's cost a call is measured with.
 *
 *   loops getppid|read|pingpong CPU COUNT
 *
 *   getppid   the cheapest syscall
 *   read      one byte of /dev/zero
 *   pingpong  one byte to a child and back through two pipes: 4 syscalls, 2 switches a round trip
 *
 * Runs COUNT rounds on one CPU and prints the nanoseconds of CPU time (of both ends) a round. CPU
 * time and not the wall clock, so that somebody else's turn on this CPU is not charged to the loop;
 * what a BPF program takes inside a call is charged to it. It is the mean and not a median of
 * slices: a tracer that works in short windows must pay for them here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define SLICES 20

static uint64_t cpu_ns(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t)) {
		perror("loops: clock_gettime");
		exit(1);
	}
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void loop_getppid(long count, uint64_t ret_ns[SLICES])
{
	for (int i = 0; i < SLICES; i++) {
		uint64_t start = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);

		for (long n = count; n; n--)
			syscall(SYS_getppid);
		ret_ns[i] = cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - start;
	}
}

static void loop_read(long count, uint64_t ret_ns[SLICES])
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	char byte;

	for (int i = 0; i < SLICES; i++) {
		uint64_t start = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);

		for (long n = count; n; n--)
			if (read(fd, &byte, 1) != 1) {
				perror("loops: /dev/zero");
				exit(1);
			}
		ret_ns[i] = cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - start;
	}
	close(fd);
}

static void echo(int in, int out)
{
	char byte;

	while (read(in, &byte, 1) == 1 && write(out, &byte, 1) == 1)
		;
	_exit(0);
}

static void loop_pingpong(long count, uint64_t ret_ns[SLICES])
{
	int there[2], back[2];
	clockid_t childs_clock;
	pid_t parent = getpid(), child;
	char byte = 0;

	if (pipe(there) || pipe(back) || (child = fork()) < 0) {
		perror("loops: pipe or fork");
		exit(1);
	}
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(there[1]);
		if (getppid() == parent)
			echo(there[0], back[1]);
		_exit(1);
	}
	clock_getcpuclockid(child, &childs_clock);
	for (int i = 0; i < SLICES; i++) {
		uint64_t start = cpu_ns(CLOCK_PROCESS_CPUTIME_ID) + cpu_ns(childs_clock);

		for (long n = count; n; n--)
			if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) {
				perror("loops: pipe");
				exit(1);
			}
		ret_ns[i] = cpu_ns(CLOCK_PROCESS_CPUTIME_ID) + cpu_ns(childs_clock) - start;
	}
	close(there[1]);
	waitpid(child, NULL, 0);
}

static const struct {
	const char *name;
	void (*run)(long count, uint64_t ret_ns[SLICES]);
} loops[] = {
    {"getppid", loop_getppid},
    {"read", loop_read},
    {"pingpong", loop_pingpong},
};

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void print_ns(uint64_t ns[SLICES], double count)
{
	double sum = 0;

	qsort(ns, SLICES, sizeof(*ns), compare);
	for (int i = 0; i < SLICES; i++)
		sum += ns[i];
	printf("%.2f %.2f\n", (ns[SLICES / 2 - 1] + ns[SLICES / 2]) / 2 / count,
	       sum / SLICES / count);
}

static int pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

int main(int argc, char **argv)
{
	int cpu = argc == 4 ? atoi(argv[2]) : -1;
	long count = argc == 4 ? atol(argv[3]) / SLICES : 0; /* a slice */
	uint64_t ns[SLICES];

	if (cpu < 0 || cpu >= CPU_SETSIZE || count <= 0) {
		fprintf(stderr, "usage: loops getppid|read|pingpong CPU COUNT\n");
		return 2;
	}
	if (pin(cpu)) {
		fprintf(stderr, "loops: CPU %d: %s\n", cpu, strerror(errno));
		return 1;
	}
	for (size_t i = 0; i < sizeof(loops) / sizeof(loops[0]); i++)
		if (!strcmp(argv[1], loops[i].name)) {
			loops[i].run(count, ns);
			print_ns(ns, count);
			return 0;
		}
	fprintf(stderr, "loops: no loop \"%s\"; one of getppid, read, pingpong\n", argv[1]);
	return 2;
}
