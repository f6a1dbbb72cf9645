/* serve.c - the module "serve": listens, and runs the connections in the agent's loop.
 *
 * libmicrohttpd keeps its sockets in an epoll set of its own, whose descriptor joins the loop; its
 * timeouts become one timer. Input: serve.listen, serve.tls_cert, serve.tls_key. Bounds:
 * SERVE_CONNECTIONS connections, which are closed after SERVE_IDLE_S seconds of silence and hold up
 * to SERVE_CONNECTION_BYTES each; more clients wait in the listen queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/agent.h"
#include "core/log.h"
#include "serve/address.h"
#include "serve/http.h"
#include "serve/own.h"
#include "serve/serve.h"

#define SERVE_CONNECTIONS 128
#define SERVE_IDLE_S 10
#define SERVE_CONNECTION_BYTES (16UL << 10)
#define SERVE_BACKLOG 128
#define SERVE_PEM_MAX_BYTES (256UL << 10)
/* keeps the own series live; requests are driven by the descriptor */
#define SERVE_PERIOD_MS 2000

struct serve {
	struct agent *agent;
	struct own *own;
	struct http *http;
	struct MHD_Daemon *daemon;
	struct buffer cert, key; /* PEM, ended by a NUL; empty without TLS */
	uv_poll_t poll;
	uv_timer_t timer;
	int handles;	 /* open handles of the loop, which outlive fini until they are closed */
	char error[160]; /* what libmicrohttpd said last */
};

static void serve_free(struct serve *s)
{
	if (!s)
		return;
	if (s->daemon)
		MHD_stop_daemon(s->daemon);
	http_free(s->http);
	own_free(s->own);
	if (s->key.data)
		explicit_bzero(s->key.data, s->key.room);
	buffer_free(&s->cert);
	buffer_free(&s->key);
	free(s);
}

/* --- the loop */

static void on_timer(uv_timer_t *timer);

static void run(struct serve *s)
{
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(s->daemon);
	if (MHD_get_timeout(s->daemon, &ms) == MHD_YES)
		uv_timer_start(&s->timer, on_timer, ms, 0);
	else
		uv_timer_stop(&s->timer);
}

static void on_timer(uv_timer_t *timer)
{
	run(timer->data);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	run(poll->data);
}

static void on_closed(uv_handle_t *handle)
{
	struct serve *s = handle->data;

	if (--s->handles == 0)
		serve_free(s);
}

static int join_loop(struct serve *s)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int r;

	if (!info)
		return -ENOTSUP;
	r = uv_poll_init(&s->agent->loop, &s->poll, info->epoll_fd);
	if (r)
		return r;
	uv_timer_init(&s->agent->loop, &s->timer);
	s->poll.data = s->timer.data = s;
	s->handles = 2;
	uv_poll_start(&s->poll, UV_READABLE, on_ready);
	run(s);
	return 0;
}

/* --- what it listens on */

static int listen_failed(struct serve *s, const char *text, int r)
{
	const char *why = r == -EADDRINUSE	? "another program listens there"
			  : r == -EADDRNOTAVAIL ? "this node has no such address"
			  : r == -EACCES
			      ? "a port below 1024 needs a privilege that the agent drops"
			      : strerror(-r);

	agent_reason(s->agent,
		     "cannot listen on %s: %s; choose another address with serve.listen in the "
		     "configuration or --listen ADDR:PORT",
		     text, why);
	return r;
}

/* ret_address: with the port that the kernel chose */
static int listen_on(struct serve *s, const char *text, struct address *ret_address, int *ret_fd)
{
	struct address a;
	int fd, r, on = 1, off = 0;

	if (address_parse(text, &a)) {
		agent_reason(s->agent,
			     "serve.listen: \"%.80s\" is not an address and port; write "
			     "127.0.0.1:8000 or [::1]:8000",
			     text);
		return -EINVAL;
	}
	fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return listen_failed(s, text, -errno);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a.any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, &a.any, a.bytes) || listen(fd, SERVE_BACKLOG) ||
	    getsockname(fd, &a.any, &a.bytes)) {
		r = listen_failed(s, text, -errno);
		close(fd);
		return r;
	}
	*ret_address = a;
	*ret_fd = fd;
	return 0;
}

/* --- TLS */

static int read_pem(struct serve *s, const char *key, const char *path, struct buffer *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;
	ssize_t n = -1;
	char *to;

	to = buffer_reserve(ret, SERVE_PEM_MAX_BYTES);
	if (fd >= 0 && to)
		n = read(fd, to, SERVE_PEM_MAX_BYTES);
	if (n < 0)
		r = to ? -errno : -ENOMEM;
	else if ((size_t)n == SERVE_PEM_MAX_BYTES)
		r = -EFBIG;
	else
		to[n] = '\0';
	if (fd >= 0)
		close(fd);
	if (r)
		agent_reason(s->agent,
			     "serve.%s: cannot read %.80s: %s; the agent's user has to "
			     "be able to read it",
			     key, path, strerror(-r));
	return r;
}

static int read_tls(struct serve *s, const char *cert, const char *key)
{
	int r;

	if (!*cert) /* the configuration has both or none */
		return 0;
	if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES) {
		agent_reason(s->agent, "this libmicrohttpd has no TLS; leave serve.tls_cert and "
				       "serve.tls_key empty");
		return -ENOSYS;
	}
	r = read_pem(s, "tls_cert", cert, &s->cert);
	return r ? r : read_pem(s, "tls_key", key, &s->key);
}

/* --- libmicrohttpd */

__attribute__((format(printf, 2, 0))) static void on_log(void *cls, const char *format,
							 va_list args)
{
	struct serve *s = cls;
	size_t n;

	vsnprintf(s->error, sizeof(s->error), format, args);
	n = strlen(s->error);
	while (n && s->error[n - 1] == '\n')
		s->error[--n] = '\0';
	log_debug("serve", "libmicrohttpd: %s", s->error);
}

static int start(struct serve *s, const struct address *a, int fd)
{
	struct MHD_OptionItem tls[] = {
	    {MHD_OPTION_HTTPS_MEM_CERT, 0, s->cert.data},
	    {MHD_OPTION_HTTPS_MEM_KEY, 0, s->key.data},
	    {MHD_OPTION_HTTPS_PRIORITIES, 0, "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
	    {MHD_OPTION_END, 0, NULL},
	};
	unsigned flags = MHD_USE_EPOLL | MHD_USE_ERROR_LOG;

	if (a->any.sa_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	if (s->cert.data)
		flags |= MHD_USE_TLS;
	else
		tls[0].option = MHD_OPTION_END;
	s->daemon =
	    MHD_start_daemon(flags, 0, NULL, NULL, http_handle, s->http, MHD_OPTION_EXTERNAL_LOGGER,
			     on_log, s, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
			     (unsigned)SERVE_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
			     (unsigned)SERVE_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
			     SERVE_CONNECTION_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1,
			     MHD_OPTION_NOTIFY_COMPLETED, http_completed, s->http, MHD_OPTION_ARRAY,
			     tls, MHD_OPTION_END);
	if (s->daemon)
		return 0;
	agent_reason(s->agent, "cannot start the HTTP server: %s%s",
		     *s->error ? s->error : "no reason given",
		     s->cert.data ? "; check serve.tls_cert and serve.tls_key" : "");
	return -EINVAL;
}

/* --- the module */

static void say_address(const struct serve *s, const struct address *a)
{
	char text[ADDRESS_TEXT_MAX];

	address_print(a, text);
	log_info("serve", "page and API at http%s://%s/%s", s->cert.data ? "s" : "", text,
		 address_is_loopback(a) ? "" : " (reading needs the token)");
}

static int init(struct agent *a, void **ret_state)
{
	struct serve *s = calloc(1, sizeof(*s));
	struct address address;
	int fd = -1, r = -ENOMEM;

	if (!s)
		return r;
	s->agent = a;
	s->own = own_new();
	if (!s->own)
		goto out;
	r = read_tls(s, a->config->serve.tls_cert, a->config->serve.tls_key);
	if (r)
		goto out;
	r = listen_on(s, a->config->serve.listen, &address, &fd);
	if (r)
		goto out;
	r = -ENOMEM;
	s->http = http_new(a, s->own, address_is_loopback(&address));
	if (!s->http)
		goto out;
	r = start(s, &address, fd);
	if (r)
		goto out;
	fd = -1; /* the daemon's */
	r = join_loop(s);
	if (r)
		goto out;
	say_address(s, &address);
	*ret_state = s;
	s = NULL;
out:
	if (fd >= 0)
		close(fd);
	serve_free(s);
	return r;
}

static int tick(struct agent *a, void *state, uint64_t now_ns)
{
	struct serve *s = state;

	own_update(s->own, a, now_ns);
	return 0;
}

static void fini(struct agent *a, void *state)
{
	struct serve *s = state;

	if (!s)
		return;
	uv_close((uv_handle_t *)&s->poll, on_closed);
	uv_close((uv_handle_t *)&s->timer, on_closed);
	MHD_stop_daemon(s->daemon); /* closes the descriptor that the loop no longer watches */
	s->daemon = NULL;
}

const struct module serve_module = {
    .name = "serve",
    .about = "HTTP: page, /metrics, API",
    .roles = ROLE_AGENT,
    .period_ms = SERVE_PERIOD_MS,
    .essential = 1,
    .init = init,
    .tick = tick,
    .fini = fini,
};
