/* flood.c - opens very many connections of HTTP on loopback, asks once on each, and keeps them.
 *
 * A process may have few descriptors, an address few ports: so each pair of a server and a client
 * has an address of its own, 127.0.1.1 and on; the port is the same, for it to be one service. What
 * the servers answered is what is told.
 *
 * In:      PORT CONNECTIONS PAIRS; then each line of standard input asks once more on every
 *          connection, and its end closes them all
 * Out:     after each round one line: how many requests were answered so far; 0 done, 1 failed
 * Bounds:  a pair has at most as many connections as a process may have descriptors (the hard
 *          limit), and 28,000 (the ports)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAIRS_MAX 64
#define TIMEOUT_S 30

static const char request[] = "GET /flood HTTP/1.1\r\nHost: flood\r\n\r\n";
static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine";

struct pair {
	pid_t server, client;
	int fd; /* to its client: a byte asks for a round, and another one comes back */
	struct sockaddr_in at;
	uint32_t connections;
	uint64_t *answered; /* shared */
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
	_exit(1);
}

/* --- a server: all that a client says is in one read, and all of the answer in one write */

static void serve_one(struct pair *p, int fd)
{
	char buffer[256];
	ssize_t got = read(fd, buffer, sizeof(buffer));

	if (got <= 0) {
		close(fd);
		return;
	}
	if (got != sizeof(request) - 1 || memcmp(buffer, request, sizeof(request) - 1) != 0)
		die("another request");
	__atomic_fetch_add(p->answered, 1, __ATOMIC_RELAXED);
	if (write(fd, answer, sizeof(answer) - 1) != sizeof(answer) - 1)
		die("answer");
}

static _Noreturn void serve(struct pair *p, int listener)
{
	struct epoll_event e = {.events = EPOLLIN, .data.fd = listener};
	int epoll = epoll_create1(0);

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e))
		die("epoll");
	for (;;) {
		if (epoll_wait(epoll, &e, 1, -1) != 1)
			continue;
		if (e.data.fd != listener) {
			serve_one(p, e.data.fd);
			continue;
		}
		e.data.fd = accept(listener, NULL, NULL);
		if (e.data.fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, e.data.fd, &e))
			die("accept");
	}
}

/* What a child has of its parent: its end alone must end the clients, and the death of the parent
 * everybody. */
static void child_begin(const struct pair *pairs, uint32_t n)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (uint32_t i = 0; i < n; i++)
		close(pairs[i].fd);
}

/* Listens before anybody connects. */
static void serve_begin(struct pair *pairs, uint32_t n)
{
	struct pair *p = &pairs[n];
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&p->at, sizeof(p->at)) || listen(fd, 4096))
		die("listen");
	p->server = fork();
	if (p->server < 0)
		die("fork");
	if (!p->server) {
		child_begin(pairs, n);
		serve(p, fd);
	}
	close(fd);
}

/* --- a client */

static void ask(int fd)
{
	char buffer[sizeof(answer)];
	size_t had = 0;
	ssize_t got;

	if (write(fd, request, sizeof(request) - 1) != sizeof(request) - 1)
		die("request");
	while (had < sizeof(answer) - 1) {
		got = read(fd, buffer + had, sizeof(buffer) - had);
		if (got <= 0)
			die("no answer");
		had += (size_t)got;
	}
	if (had != sizeof(answer) - 1 || memcmp(buffer, answer, had) != 0)
		die("another answer");
}

static int open_one(const struct pair *p)
{
	struct timeval limit = {.tv_sec = TIMEOUT_S};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    connect(fd, (const struct sockaddr *)&p->at, sizeof(p->at)))
		die("connect");
	return fd;
}

/* The first round opens. */
static _Noreturn void ask_rounds(const struct pair *p, int parent)
{
	int *fd = calloc(p->connections + 1, sizeof(*fd));
	bool opened = false;
	char byte;

	if (!fd)
		die("memory");
	while (read(parent, &byte, 1) == 1) {
		for (uint32_t i = 0; i < p->connections; i++) {
			if (!opened)
				fd[i] = open_one(p);
			ask(fd[i]);
		}
		opened = true;
		if (write(parent, &byte, 1) != 1)
			die("parent");
	}
	_exit(0);
}

static void client_begin(struct pair *pairs, uint32_t n)
{
	struct pair *p = &pairs[n];
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends))
		die("socketpair");
	p->client = fork();
	if (p->client < 0)
		die("fork");
	if (!p->client) {
		child_begin(pairs, n);
		close(ends[0]);
		ask_rounds(p, ends[1]);
	}
	close(ends[1]);
	p->fd = ends[0];
}

/* --- all of them */

static bool ask_all(struct pair *pairs, uint32_t n)
{
	uint64_t answered = 0;
	char byte = 0;

	for (uint32_t i = 0; i < n; i++)
		if (write(pairs[i].fd, &byte, 1) != 1)
			return false;
	for (uint32_t i = 0; i < n; i++) {
		if (read(pairs[i].fd, &byte, 1) != 1)
			return false;
		answered += __atomic_load_n(pairs[i].answered, __ATOMIC_RELAXED);
	}
	printf("%llu\n", (unsigned long long)answered);
	return fflush(stdout) == 0;
}

static bool end_all(struct pair *pairs, uint32_t n)
{
	bool fine = true;
	int status;

	for (uint32_t i = 0; i < n; i++)
		close(pairs[i].fd);
	for (uint32_t i = 0; i < n; i++) {
		fine = waitpid(pairs[i].client, &status, 0) > 0 && !status && fine;
		kill(pairs[i].server, SIGTERM);
		waitpid(pairs[i].server, NULL, 0);
	}
	return fine;
}

static void descriptors_raise(void)
{
	struct rlimit r;

	if (!getrlimit(RLIMIT_NOFILE, &r)) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

int main(int argc, char **argv)
{
	uint32_t connections = argc == 4 ? (uint32_t)atoi(argv[2]) : 0;
	uint32_t n = argc == 4 ? (uint32_t)atoi(argv[3]) : 0;
	struct pair pairs[PAIRS_MAX] = {};
	uint64_t *answered;
	char line[64];
	bool fine;

	if (!connections || !n || n > PAIRS_MAX) {
		fprintf(stderr, "usage: flood PORT CONNECTIONS PAIRS (at most %d)\n", PAIRS_MAX);
		return 2;
	}
	descriptors_raise();
	answered = mmap(NULL, sizeof(*answered) * PAIRS_MAX, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (answered == MAP_FAILED)
		die("memory");
	for (uint32_t i = 0; i < n; i++) {
		pairs[i] =
		    (struct pair){.at = {.sin_family = AF_INET,
					 .sin_port = htons((uint16_t)atoi(argv[1])),
					 .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 0x100 + i)},
				  .connections = connections / n + (i < connections % n),
				  .answered = &answered[i]};
		serve_begin(pairs, i);
		client_begin(pairs, i);
	}
	fine = ask_all(pairs, n);
	while (fine && fgets(line, sizeof(line), stdin))
		fine = ask_all(pairs, n);
	return end_all(pairs, n) && fine ? 0 : 1;
}
