/* spin.c - spin PORT: a server of one thread and one connection at a time, quick enough to be a
 * truth to the microsecond. GET /spin?us=N is busy for N us and answers; GET /report tells what
 * each took since the last report, in seconds: from the return of recv() to the call of send().
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KEPT 100000

static double took_s[KEPT];
static int kept;

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void answer(int to, const char *body, size_t n)
{
	char head[100];
	int length =
	    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n);

	if (write(to, head, length) != length || write(to, body, n) != (ssize_t)n)
		err(1, "write");
}

static void report(int to)
{
	size_t size = 20 * (size_t)kept + 3, n = 0;
	char *text = malloc(size);

	if (!text)
		err(1, "malloc");
	n += snprintf(text + n, size - n, "[");
	for (int i = 0; i < kept; i++)
		n += snprintf(text + n, size - n, "%s%.9f", i ? "," : "", took_s[i]);
	n += snprintf(text + n, size - n, "]");
	answer(to, text, n);
	free(text);
	kept = 0;
}

static void done(int to, int64_t began_ns)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ndone\n";
	int64_t now = now_ns();

	if (send(to, text, sizeof(text) - 1, 0) < 0)
		err(1, "send");
	if (kept < KEPT)
		took_s[kept++] = (now - began_ns) / 1e9;
}

static void spin(int64_t began_ns, int us)
{
	while (now_ns() - began_ns < us * 1000LL)
		;
}

/* A parent waits for its vfork() child in a sleep that no signal ends but a deadly one. */
static void sleep_uninterruptibly(int us)
{
	struct timespec t = {us / 1000000, us % 1000000 * 1000L};
	pid_t child = vfork();

	if (child < 0)
		err(1, "vfork");
	if (!child) {
		nanosleep(&t, NULL);
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

static void serve(int connection)
{
	char request[4096];
	ssize_t n;

	while ((n = recv(connection, request, sizeof(request) - 1, 0)) > 0) {
		int64_t began_ns = now_ns();
		int us;

		request[n] = 0;
		if (sscanf(request, "GET /spin?us=%d", &us) == 1)
			spin(began_ns, us);
		else if (sscanf(request, "GET /vfork?us=%d", &us) == 1)
			sleep_uninterruptibly(us);
		else {
			report(connection);
			continue;
		}
		done(connection, began_ns);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM, 0), connection, on = 1;

	at.sin_port = htons(argc > 1 ? atoi(argv[1]) : 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 16))
		err(1, "port");
	while ((connection = accept(listener, NULL, NULL)) >= 0) {
		setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		serve(connection);
		close(connection);
	}
	return 1;
}
