/* tcp.c - connections, also of unix sockets, a listener, an HTTP request. */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* An absolute path is the address of a unix socket. */
static int address(const char *text, const char *port, struct sockaddr_storage *ret,
		   socklen_t *ret_size)
{
	struct sockaddr_in *v4 = (void *)ret;
	struct sockaddr_in6 *v6 = (void *)ret;
	struct sockaddr_un *path = (void *)ret;
	uint64_t p;

	if (!number(port, 65535, &p))
		return bad("not a port", port);
	memset(ret, 0, sizeof(*ret));
	if (text[0] == '/') {
		path->sun_family = AF_UNIX;
		snprintf(path->sun_path, sizeof(path->sun_path), "%s", text);
		*ret_size = sizeof(*path);
	} else if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)p);
		*ret_size = sizeof(*v4);
	} else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)p);
		*ret_size = sizeof(*v6);
	} else {
		return bad("not a numeric address or a path", text);
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

int socket_connect(const char *to, const char *port, uint64_t timeout_ms, int *ret_fd)
{
	struct sockaddr_storage at;
	socklen_t size;
	int r = address(to, port, &at, &size);

	if (r)
		return r;
	r = tcp_connect(&at, size, timeout_ms, ret_fd);
	return r ? fail(r, "connect") : 0;
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

int run_connect(struct load *l)
{
	return connect_n(l, "connect", false);
}

int run_refused(struct load *l)
{
	return connect_n(l, "refused", true);
}

/* One HTTP/1.0 request; the body goes to standard output. Any status but 200 is a failure. */
int run_get(struct load *l)
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

int socket_listen(const char *on, const char *port, int backlog, int *ret_fd)
{
	struct sockaddr_storage at;
	socklen_t size;
	int one = 1, fd, r = address(on, port, &at, &size);

	if (r)
		return r;
	fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(errno, "listen");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, size) || listen(fd, backlog) ||
	    getsockname(fd, (struct sockaddr *)&at, &size))
		return fail(errno, "listen");
	/* the port is at the same place in both families of IP */
	printf("ready %d\n",
	       at.ss_family == AF_UNIX ? 0 : ntohs(((struct sockaddr_in *)&at)->sin_port));
	*ret_fd = fd;
	return fflush(stdout) ? 1 : 0;
}

static int listener_open(struct load *l, struct listener *s)
{
	sigset_t set;
	int r;

	*s = (struct listener){.fd = -1};
	if (!number(l->arg[2], COUNT_MAX, &s->wanted))
		return bad("not a count", l->arg[2]);
	descriptors_raise();
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->signals < 0 || s->epoll < 0)
		return fail(errno, "listen");
	r = socket_listen(l->arg[0], l->arg[1], (int)l->backlog, &s->fd);
	if (!r && fcntl(s->fd, F_SETFL, O_NONBLOCK))
		r = fail(errno, "listen");
	return r;
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
int run_listen(struct load *l)
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
