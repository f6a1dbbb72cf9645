/* serve_test.c - the whole HTTP side over real sockets: the module in its loop, and a client that
 * takes turns with it in one thread. */
#define _GNU_SOURCE /* strcasestr */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "core/agent.h"
#include "serve/embed.h"
#include "serve/routes.h"
#include "serve/serve.h"

#define TOKEN "0123456789abcdef0123456789abcdef"
#define ANSWER_MAX (4 << 20)
#define DEADLINE_NS (10ULL * 1000000000)

static const struct metric bytes_total = {"t_bytes_total", METRIC_COUNTER, "device", "Bytes.", "t"};
static const struct metric lost_total = {"trimtab_lost_total", METRIC_COUNTER, "probe,reason",
					 "Losses.", "t"};
static const struct metric wait = {"t_wait_seconds", METRIC_HISTOGRAM, "op", "Waits.", "t"};
static const struct metric none = {"t_none_seconds", METRIC_HISTOGRAM, "", "No samples.", "t"};

static int tick_other(struct agent *a, void *state, uint64_t now_ns)
{
	return 0;
}

static const struct module other = {
    .name = "other", .about = "Another module.", .period_ms = 2000, .tick = tick_other};

struct fixture {
	struct agent agent;
	struct shared shared;
	void *memory;
	int port;
	char answer[ANSWER_MAX];
	const char *body; /* of the answer */
	int status;
};

static int free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	close(fd);
	return ntohs(a.sin_port);
}

static void set_option(struct fixture *f, const char *key, const char *text)
{
	char err[300];

	if (config_set(f->agent.config, "serve", key, text, err, sizeof(err)))
		fail_msg("%s", err);
}

static void fill(struct fixture *f)
{
	struct store *s = f->agent.store;
	uint64_t now_ns = agent_now_ns();
	struct hist *h;

	store_set(s, &bytes_total, now_ns, 12, "device", "vda", NULL);
	store_set(s, &bytes_total, now_ns, 1.5, "device", "a\"\\\n", NULL);
	store_set(s, &lost_total, now_ns, 7, "probe", "tcp", "reason", "map_full", NULL);
	h = store_hist(s, &wait, now_ns, "op", "read", NULL);
	h->count[hist_slot(1000000)] = 98;
	h->count[0] = 1;
	h->count[HIST_SLOT_OVERFLOW] = 1;
	h->sum_ns = 98000000 + 70000000000ULL;
	store_hist(s, &none, now_ns, NULL);
}

/* host: an address without its port */
static struct fixture *start(const char *host)
{
	struct fixture *f = calloc(1, sizeof(*f));
	size_t size = (store_size(512, 64) + 63) / 64 * 64;
	char listen[64], err[300];
	struct agent *a = &f->agent;

	f->memory = aligned_alloc(64, size);
	memset(f->memory, 0, size);
	a->store = store_open(f->memory, size, 512, 64);
	a->shared = &f->shared;
	a->keeper_fd = -1;
	strcpy(a->token, TOKEN);
	f->shared.started_ns = agent_now_ns();
	f->shared.started_unix_s = (uint64_t)time(NULL);
	f->shared.probes_n = 1;
	strcpy(f->shared.probe[0].name, "tcp");
	f->shared.probe[0].phase = PROBE_FAILED;
	strcpy(f->shared.probe[0].reason, "no BTF here");
	f->shared.maps_n = 2;
	f->shared.map[0].bytes = 1000;
	f->shared.map[1].bytes = 24;
	f->shared.windows.mode = f->shared.windows.configured = SYSCALL_WINDOWS;
	assert_int_equal(config_load(NULL, NULL, &a->config, err, sizeof(err)), 0);
	f->port = free_port();
	snprintf(listen, sizeof(listen), "%s:%d", host, f->port);
	set_option(f, "listen", listen);
	set_option(f, "token", TOKEN);
	assert_int_equal(uv_loop_init(&a->loop), 0);
	a->slots[0].module = &serve_module;
	a->slots[1].module = &other;
	a->slots_n = 2;
	a->current = &a->slots[0];
	if (serve_module.init(a, &a->slots[0].state))
		fail_msg("%s", a->slots[0].reason);
	fill(f);
	return f;
}

static void stop(struct fixture *f)
{
	serve_module.fini(&f->agent, f->agent.slots[0].state);
	uv_run(&f->agent.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->agent.loop), 0); /* no handle is left */
	config_free(f->agent.config);
	free(f->memory);
	free(f);
}

static int dial(struct fixture *f)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				.sin_port = htons((in_port_t)f->port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* Sends text and reads until the server closes. */
static void exchange(struct fixture *f, const char *text, size_t bytes)
{
	uint64_t until_ns = agent_now_ns() + DEADLINE_NS;
	size_t sent = 0, got = 0;
	int fd = dial(f);
	ssize_t n = 1;

	while (n != 0) {
		if (agent_now_ns() > until_ns)
			fail_msg("no answer to: %.200s", text);
		uv_run(&f->agent.loop, UV_RUN_NOWAIT);
		n = send(fd, text + sent, bytes - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		sent += n > 0 ? (size_t)n : 0;
		n = recv(fd, f->answer + got, ANSWER_MAX - 1 - got, MSG_DONTWAIT);
		if (n < 0 && errno == ECONNRESET)
			break;
		got += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	f->answer[got] = '\0';
	f->body = strstr(f->answer, "\r\n\r\n");
	f->body = f->body ? f->body + 4 : "";
	f->status = got > 12 ? atoi(f->answer + 9) : 0;
}

/* headers: lines that end in \r\n */
__attribute__((format(printf, 3, 4))) static int request(struct fixture *f, const char *headers,
							 const char *format, ...)
{
	char line[512], text[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	snprintf(text, sizeof(text), "%s HTTP/1.1\r\nConnection: close\r\n%s%s\r\n", line,
		 strstr(headers, "Host:") ? "" : "Host: localhost\r\n", headers);
	exchange(f, text, strlen(text));
	return f->status;
}

static bool has(struct fixture *f, const char *text)
{
	return strstr(f->answer, text);
}

static cJSON *json_of(struct fixture *f)
{
	cJSON *json = cJSON_Parse(f->body);

	if (!json)
		fail_msg("no JSON: %.500s", f->answer);
	return json;
}

static const char *error_code(struct fixture *f)
{
	static char code[64];
	cJSON *json = json_of(f), *error = cJSON_GetObjectItem(json, "error");

	assert_non_null(cJSON_GetObjectItem(error, "message"));
	snprintf(code, sizeof(code), "%s", cJSON_GetObjectItem(error, "code")->valuestring);
	cJSON_Delete(json);
	return code;
}

static void refuses_what_it_must(void **state)
{
	struct fixture *f = start("127.0.0.1");

	assert_int_equal(request(f, "", "GET /nope"), 404);
	assert_string_equal(error_code(f), "not_found");
	assert_int_equal(request(f, "", "GET /nope%%ff%%00\"x"), 404);
	assert_string_equal(error_code(f), "not_found");
	assert_int_equal(request(f, "Content-Length: 0\r\n", "POST /metrics"), 405);
	assert_true(has(f, "\r\nAllow: GET, HEAD\r\n"));
	assert_string_equal(error_code(f), "method_not_allowed");
	assert_int_equal(request(f, "", "GET /api/syscall/exact"), 405);
	assert_true(has(f, "\r\nAllow: POST\r\n"));
	assert_int_equal(request(f, "Host: evil.example\r\n", "GET /metrics"), 421);
	assert_string_equal(error_code(f), "wrong_host");
	assert_int_equal(request(f, "Host: evil.example\r\n", "GET /"), 421);
	assert_int_equal(request(f, "Host: [::1]:99\r\n", "GET /healthz"), 200);
	assert_int_equal(request(f, "", "GET /api/metrics?limit=0"), 400);
	assert_int_equal(request(f, "", "GET /api/metrics?limit=x"), 400);
	assert_int_equal(request(f, "", "GET /api/metrics?offset=-1"), 400);
	assert_int_equal(request(f, "", "GET /api/metrics?limit=99999999999999999999999"), 400);
	assert_int_equal(request(f, "", "GET /api/metrics?format=xml"), 400);
	assert_string_equal(error_code(f), "bad_request");
	stop(f);
}

static void asks_for_the_token(void **state)
{
	struct fixture *f = start("127.0.0.1");
	static const char *const wrong[] = {
	    "",
	    "Authorization: Bearer\r\n",
	    "Authorization: Bearer \r\n",
	    "Authorization: Basic " TOKEN "\r\n",
	    "Authorization: Bearer 0123456789abcdef0123456789abcdeF\r\n",
	    "Authorization: Bearer 0123456789abcdef\r\n",
	    "Authorization: Bearer " TOKEN TOKEN "\r\n",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(request(f, wrong[i], "POST /api/syscall/exact?seconds=1"), 401);
		assert_true(has(f, "\r\nWWW-Authenticate: Bearer"));
		assert_string_equal(error_code(f), "unauthorized");
	}
	f->agent.token[0] = '\0'; /* no token: nobody has it */
	assert_int_equal(request(f, wrong[2], "POST /api/syscall/exact?seconds=1"), 401);
	strcpy(f->agent.token, TOKEN);
	/* past the door: the parameters, then the keeper, which is not there */
	for (const char *bad[] = {"", "?seconds=", "?seconds=3601", "?seconds=1x", NULL}, **b = bad;
	     *b; b++)
		assert_int_equal(request(f, "Authorization: bearer  " TOKEN "\r\n",
					 "POST /api/syscall/exact%s", *b),
				 400);
	assert_int_equal(request(f, "Authorization: Bearer " TOKEN "\r\n",
				 "POST /api/syscall/exact?seconds=3600"),
			 503);
	assert_string_equal(error_code(f), "unavailable");
	stop(f);
}

static void asks_others_for_the_token(void **state)
{
	struct fixture *f = start("0.0.0.0");

	for (size_t i = 0; i < routes_n; i++) {
		bool open = routes[i].access == ROUTE_OPEN;

		request(f, "Host: node.example\r\n", "%s %s", routes[i].method, routes[i].path);
		if (open == (f->status == 401))
			fail_msg("%s: %d", routes[i].path, f->status);
		request(f, "Authorization: Bearer " TOKEN "\r\n", "%s %s", routes[i].method,
			routes[i].path);
		if (f->status == 401)
			fail_msg("%s: 401 with the token", routes[i].path);
	}
	stop(f);
}

static void bounds_the_body(void **state)
{
	struct fixture *f = start("127.0.0.1");
	const char *head = "POST /api/syscall/exact?seconds=x HTTP/1.1\r\nHost: localhost\r\n"
			   "Connection: close\r\nAuthorization: Bearer " TOKEN "\r\n";
	char *text = malloc(4 << 20);
	size_t n;

	assert_int_equal(request(f,
				 "Authorization: Bearer " TOKEN "\r\nContent-Length: 65537\r\n"
				 "Expect: 100-continue\r\n",
				 "POST /api/syscall/exact?seconds=1"),
			 413);
	assert_string_equal(error_code(f), "too_large");
	/* just the bound, and read whole: the 400 is the parameter's */
	n = (size_t)sprintf(text, "%sContent-Length: 65536\r\n\r\n", head);
	memset(text + n, 'x', 65536);
	exchange(f, text, n + 65536);
	assert_int_equal(f->status, 400);
	/* a length that is not said */
	n = (size_t)sprintf(text, "%sTransfer-Encoding: chunked\r\n\r\n", head);
	for (int i = 0; i < 5; i++) {
		n += (size_t)sprintf(text + n, "4000\r\n");
		memset(text + n, 'x', 0x4000);
		n += 0x4000;
		n += (size_t)sprintf(text + n, "\r\n");
	}
	n += (size_t)sprintf(text + n, "0\r\n\r\n");
	exchange(f, text, n);
	assert_int_equal(f->status, 413);
	/* one that never ends is cut off */
	n = (size_t)sprintf(text, "%sTransfer-Encoding: chunked\r\n\r\n", head);
	while (n < 3 << 20) {
		n += (size_t)sprintf(text + n, "4000\r\n");
		memset(text + n, 'x', 0x4000);
		n += 0x4000;
		n += (size_t)sprintf(text + n, "\r\n");
	}
	exchange(f, text, n);
	assert_int_equal(f->status, 0);
	assert_int_equal(request(f, "", "GET /healthz"), 200);
	free(text);
	stop(f);
}

/* The answer's tag as a request header; lives until the next call. */
static const char *same_tag(struct fixture *f)
{
	static char header[128];
	const char *at = strstr(f->answer, "ETag: \"");

	assert_non_null(at);
	snprintf(header, sizeof(header), "If-None-Match: %.*s\r\n", (int)strcspn(at + 6, "\r\n"),
		 at + 6);
	return header;
}

static void serves_the_page(void **state)
{
	struct fixture *f = start("127.0.0.1");

	assert_int_equal(request(f, "", "GET /"), 200);
	assert_true(has(f, "\r\nContent-Type: text/html; charset=utf-8\r\n"));
	assert_true(has(f, "\r\nContent-Security-Policy: default-src 'self'"));
	assert_true(has(f, "\r\nX-Content-Type-Options: nosniff\r\n"));
	assert_non_null(strcasestr(f->body, "<!doctype html>"));
	assert_int_equal(request(f, same_tag(f), "GET /"), 304);
	assert_string_equal(f->body, "");
	assert_true(has(f, "\r\nVary: Accept-Encoding\r\n"));
	assert_int_equal(request(f, same_tag(f), "GET /app.js"), 200);
	assert_true(has(f, "\r\nContent-Type: text/javascript; charset=utf-8\r\n"));
	assert_int_equal(request(f, "", "GET /app.css"), 200);
	assert_int_equal(request(f, "", "HEAD /app.css"), 200);
	assert_string_equal(f->body, "");
	/* nothing else is a file */
	for (const char *const wrong[] = {"/app", "//app.js", "/web/app.js", "/app.js/", "/App.js",
					  "/{file}", "/../app.js", "/app.js.gz", NULL},
			       *const *w = wrong;
	     *w; w++)
		assert_int_equal(request(f, "", "GET %s", *w), 404);
	assert_int_equal(request(f, "Content-Length: 0\r\n", "POST /app.js"), 405);
	stop(f);
}

static void serves_each_file_packed(void **state)
{
	struct fixture *f = start("127.0.0.1");
	size_t n = 0;

	for (const struct embed_file *e = embed_web; e < embed_web_end; e++, n++) {
		size_t bytes = (size_t)(e->end - e->from), z = (size_t)(e->packed_end - e->packed);

		assert_int_equal(request(f, "Accept-Encoding: gzip;q=0\r\n", "GET /%s", e->name),
				 200);
		assert_false(has(f, "Content-Encoding"));
		assert_memory_equal(f->body, e->from, bytes);
		assert_int_equal(request(f, same_tag(f), "GET /%s", e->name), 304);
		assert_int_equal(request(f, "Accept-Encoding: gzip\r\n", "GET /%s", e->name), 200);
		assert_true(has(f, "\r\nContent-Encoding: gzip\r\n"));
		assert_true(has(f, "\r\nVary: Accept-Encoding\r\n"));
		assert_false(has(f, "octet-stream"));
		assert_memory_equal(f->body, e->packed, z);
		assert_memory_equal(f->body, "\x1f\x8b", 2);
		/* the packed form's tag stands for that form alone */
		assert_int_equal(request(f, same_tag(f), "GET /%s", e->name), 200);
	}
	assert_true(n >= 3);
	stop(f);
}

static void serves_each_format(void **state)
{
	struct fixture *f = start("127.0.0.1");

	assert_int_equal(request(f, "", "GET /metrics"), 200);
	assert_true(has(f, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	assert_true(has(f, "\nt_bytes_total{device=\"vda\"} 12\n"));
	assert_true(has(f, "\nt_wait_seconds_bucket{op=\"read\",le=\"64.0\"} 99\n"));
	assert_true(has(f, "\nt_wait_seconds_sum{op=\"read\"} 70.098\n"));
	assert_false(has(f, "t_none_seconds"));
	assert_int_equal(request(f, "Accept: application/openmetrics-text\r\n", "GET /metrics"),
			 200);
	assert_true(has(f, "openmetrics-text; version=1.0.0; charset=utf-8\r\n"));
	assert_true(has(f, "# TYPE t_bytes counter\n"));
	assert_true(has(f, "# EOF\n"));
	assert_int_equal(request(f,
				 "Accept: application/vnd.google.protobuf; encoding=delimited; "
				 "proto=io.prometheus.client.MetricFamily\r\n",
				 "GET /metrics"),
			 200);
	assert_true(has(f, "Content-Type: application/vnd.google.protobuf; "
			   "proto=io.prometheus.client.MetricFamily; encoding=delimited\r\n"));
	assert_int_equal(request(f, "", "GET /metrics?classic=2"), 400);
	stop(f);
}

static void answers_metrics(void **state)
{
	struct fixture *f = start("127.0.0.1");
	cJSON *json, *list, *item;

	assert_int_equal(request(f, "", "GET /api/metrics?match=t_*"), 200);
	json = json_of(f);
	list = cJSON_GetObjectItem(json, "metrics");
	assert_int_equal(cJSON_GetArraySize(list), 4);
	assert_int_equal(cJSON_GetObjectItem(json, "total")->valueint, 4);
	assert_true(cJSON_GetObjectItem(json, "time")->valuedouble > 1.6e9);
	item = cJSON_GetArrayItem(list, 0); /* the labels come in order */
	assert_string_equal(
	    cJSON_GetObjectItem(cJSON_GetObjectItem(item, "labels"), "device")->valuestring,
	    "a\"\\\n");
	assert_true(cJSON_GetObjectItem(item, "value")->valuedouble == 1.5);
	item = cJSON_GetArrayItem(list, 2); /* t_none_seconds */
	assert_true(cJSON_IsNull(cJSON_GetObjectItem(item, "p50")));
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(item, "buckets")), 0);
	item = cJSON_GetArrayItem(list, 3);
	assert_int_equal(cJSON_GetObjectItem(item, "count")->valueint, 100);
	assert_true(cJSON_GetObjectItem(item, "sum")->valuedouble == 70.098);
	assert_float_equal(cJSON_GetObjectItem(item, "p50")->valuedouble, 1e-3, 4.4e-5);
	list = cJSON_GetObjectItem(item, "buckets");
	assert_int_equal(cJSON_GetArraySize(list), 3);
	assert_true(cJSON_GetArrayItem(cJSON_GetArrayItem(list, 0), 0)->valuedouble == 0);
	assert_true(cJSON_IsNull(cJSON_GetArrayItem(cJSON_GetArrayItem(list, 2), 0)));
	cJSON_Delete(json);
	assert_int_equal(request(f, "", "GET /api/metrics?match=t_*&limit=2&offset=3"), 200);
	json = json_of(f);
	list = cJSON_GetObjectItem(json, "metrics");
	assert_int_equal(cJSON_GetArraySize(list), 1);
	assert_int_equal(cJSON_GetObjectItem(json, "total")->valueint, 4);
	assert_string_equal(cJSON_GetObjectItem(list->child, "name")->valuestring,
			    "t_wait_seconds");
	cJSON_Delete(json);
	stop(f);
}

static void answers_metrics_otherwise(void **state)
{
	struct fixture *f = start("127.0.0.1");

	assert_int_equal(request(f, "", "GET /api/metrics?format=csv&match=t_*"), 200);
	assert_true(has(f, "\r\nContent-Type: text/csv"));
	assert_memory_equal(f->body, "name,type,labels,value,count,sum,p50,p90,p95,p99,p999\r\n",
			    55);
	assert_true(has(f, "\r\nt_bytes_total,counter,\"device=\"\"vda\"\"\",12,,,,,,,\r\n"));
	assert_true(has(f, "\r\nt_none_seconds,histogram,\"\",,0,0,,,,,\r\n"));
	assert_true(has(f, "\r\nt_wait_seconds,histogram,\"op=\"\"read\"\"\",,100,70.098,"));
	assert_int_equal(request(f, "", "GET /api/metrics?format=prometheus&match=*bytes*,x"), 200);
	assert_true(has(f, "\nt_bytes_total{device=\"vda\"} 12\n"));
	assert_false(has(f, "t_wait"));
	stop(f);
}

static double number_at(cJSON *json, const char *object, const char *key)
{
	return cJSON_GetObjectItem(cJSON_GetObjectItem(json, object), key)->valuedouble;
}

static void answers_status(void **state)
{
	struct fixture *f = start("127.0.0.1");
	cJSON *json, *item;

	assert_int_equal(request(f, "", "GET /api/status"), 200);
	assert_false(has(f, TOKEN));
	json = json_of(f);
	item = cJSON_GetObjectItem(cJSON_GetObjectItem(json, "configuration"), "serve");
	assert_string_equal(cJSON_GetObjectItem(item, "token")->valuestring, "***");
	item = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "modules"), 0);
	assert_string_equal(cJSON_GetObjectItem(item, "name")->valuestring, "serve");
	assert_string_equal(cJSON_GetObjectItem(item, "state")->valuestring, "running");
	item = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "probes"), 0);
	assert_string_equal(cJSON_GetObjectItem(item, "state")->valuestring, "failed");
	assert_string_equal(cJSON_GetObjectItem(item, "reason")->valuestring, "no BTF here");
	item = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "losses"), 0);
	assert_string_equal(cJSON_GetObjectItem(item, "reason")->valuestring, "map_full");
	assert_true(cJSON_GetObjectItem(item, "lost")->valuedouble == 7);
	assert_true(cJSON_GetObjectItem(json, "kernel_bytes")->valuedouble == 1024);
	assert_true(number_at(json, "store", "series_max") == 512);
	assert_true(number_at(json, "governor", "budget_ratio") == 0.01);
	item = cJSON_GetObjectItem(json, "syscall");
	assert_string_equal(cJSON_GetObjectItem(item, "mode")->valuestring, "windows");
	assert_non_null(strstr(cJSON_GetObjectItem(item, "meaning")->valuestring, "sampled"));
	cJSON_Delete(json);
	/* what the keeper writes must not lead out of the arrays */
	f->shared.probes_n = f->shared.progs_n = f->shared.maps_n = f->shared.roles_n = UINT32_MAX;
	memset(f->shared.probe, 'x', sizeof(f->shared.probe));
	memset(f->shared.prog, 'x', sizeof(f->shared.prog));
	assert_int_equal(request(f, "", "GET /api/status"), 200);
	cJSON_Delete(json_of(f));
	stop(f);
}

static void knows_when_it_is_ready(void **state)
{
	struct fixture *f = start("127.0.0.1");

	assert_int_equal(request(f, "", "GET /healthz"), 200);
	assert_int_equal(request(f, "", "GET /readyz"), 503);
	assert_true(has(f, "{\"module\":\"other\",\"reason\":\"has not run yet\"}"));
	f->agent.slots[0].ticks = 1;
	f->agent.slots[1].phase = MODULE_FAILED;
	strcpy(f->agent.slots[1].reason, "broken");
	assert_int_equal(request(f, "", "GET /readyz"), 200);
	assert_true(has(f, "\"degraded\":[{\"module\":\"other\",\"reason\":\"broken\"}]"));
	stop(f);
}

static void check_references(cJSON *node, cJSON *root)
{
	cJSON *ref = cJSON_GetObjectItem(node, "$ref"), *child;

	if (ref) {
		char path[128], *rest = NULL;
		cJSON *at = root;

		snprintf(path, sizeof(path), "%s", ref->valuestring);
		for (char *p = strtok_r(path + 2, "/", &rest); p; p = strtok_r(NULL, "/", &rest))
			at = cJSON_GetObjectItemCaseSensitive(at, p);
		if (!at)
			fail_msg("%s leads nowhere", ref->valuestring);
	}
	cJSON_ArrayForEach (child, node)
		check_references(child, root);
}

static void describes_each_route(void **state)
{
	struct fixture *f = start("127.0.0.1");
	cJSON *json, *paths, *operation;
	char method[8];

	assert_int_equal(request(f, "", "GET /api/openapi.json"), 200);
	json = json_of(f);
	paths = cJSON_GetObjectItem(json, "paths");
	for (size_t i = 0; i < routes_n; i++) {
		const struct route *r = &routes[i];
		char status[8];

		operation = cJSON_GetObjectItemCaseSensitive(paths, r->path);
		strcpy(method, strcmp(r->method, "GET") ? "post" : "get");
		operation = cJSON_GetObjectItemCaseSensitive(operation, method);
		if (!operation)
			fail_msg("%s %s is not described", r->method, r->path);
		snprintf(status, sizeof(status), "%d", r->status);
		assert_non_null(
		    cJSON_GetObjectItem(cJSON_GetObjectItem(operation, "responses"), status));
		assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(operation, "security")) > 0,
				 r->access != ROUTE_OPEN);
	}
	operation =
	    cJSON_GetObjectItem(cJSON_GetObjectItemCaseSensitive(paths, ROUTES_FILE), "get");
	operation = cJSON_GetArrayItem(cJSON_GetObjectItem(operation, "parameters"), 0);
	assert_string_equal(cJSON_GetObjectItem(operation, "name")->valuestring, "file");
	assert_string_equal(cJSON_GetObjectItem(operation, "in")->valuestring, "path");
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(operation, "required")));
	check_references(json, json);
	cJSON_Delete(json);
	stop(f);
}

/* Every field of /api/status is in its schema, and the other way round. */
static void describes_the_status(void **state)
{
	struct fixture *f = start("127.0.0.1");
	cJSON *api, *properties, *status, *item;

	request(f, "", "GET /api/openapi.json");
	api = json_of(f);
	properties = cJSON_GetObjectItem(api, "components");
	properties = cJSON_GetObjectItem(cJSON_GetObjectItem(properties, "schemas"), "Status");
	properties = cJSON_GetObjectItem(properties, "properties");
	request(f, "", "GET /api/status");
	status = json_of(f);
	cJSON_ArrayForEach (item, status)
		if (!cJSON_GetObjectItem(properties, item->string))
			fail_msg("%s is not described", item->string);
	cJSON_ArrayForEach (item, properties)
		if (!cJSON_GetObjectItem(status, item->string))
			fail_msg("%s is not served", item->string);
	cJSON_Delete(status);
	cJSON_Delete(api);
	stop(f);
}

static void counts_its_requests(void **state)
{
	struct fixture *f = start("127.0.0.1");
	struct agent *a = &f->agent;

	for (int i = 0; i < 3; i++)
		request(f, "", "GET /healthz");
	request(f, "", "GET /no/such/path");
	request(f, "Host: evil\r\n", "GET /");
	serve_module.tick(a, a->slots[0].state, agent_now_ns());
	assert_int_equal(request(f, "", "GET /metrics"), 200);
	assert_true(has(f, "\ntrimtab_http_requests_total{path=\"/healthz\",code=\"200\"} 3\n"));
	assert_true(has(f, "\ntrimtab_http_requests_total{path=\"other\",code=\"404\"} 1\n"));
	assert_true(has(f, "\ntrimtab_http_requests_total{path=\"other\",code=\"421\"} 1\n"));
	assert_true(has(f, "\ntrimtab_http_request_duration_seconds_count{path=\"/healthz\"} 3\n"));
	assert_true(has(f, "\ntrimtab_build_info{version="));
	assert_true(has(f, "\nprocess_open_fds "));
	assert_true(has(f, "\ntrimtab_series_dropped_total 0\n"));
	stop(f);
}

/* The silence of many clients does not stop the one that asks. */
static void serves_among_idle_clients(void **state)
{
	struct fixture *f = start("127.0.0.1");
	int idle[100];

	for (size_t i = 0; i < 100; i++) {
		idle[i] = dial(f);
		assert_true(send(idle[i], "GET /hea", 8, MSG_NOSIGNAL) == 8);
	}
	assert_int_equal(request(f, "", "GET /healthz"), 200);
	for (size_t i = 0; i < 100; i++)
		close(idle[i]);
	assert_int_equal(request(f, "", "GET /healthz"), 200);
	stop(f);
}

static void set_tls(struct fixture *f, const char *cert, const char *key)
{
	free(f->agent.config->serve.tls_cert);
	free(f->agent.config->serve.tls_key);
	f->agent.config->serve.tls_cert = strdup(cert);
	f->agent.config->serve.tls_key = strdup(key);
}

static void says_why_it_cannot_listen(void **state)
{
	struct fixture *f = start("127.0.0.1");
	struct agent *a = &f->agent;
	struct module_slot *slot = &a->slots[1];
	char text[64];

	a->current = slot;
	assert_int_equal(serve_module.init(a, &slot->state), -EADDRINUSE);
	snprintf(text, sizeof(text), "cannot listen on 127.0.0.1:%d", f->port);
	assert_non_null(strstr(slot->reason, text));
	assert_non_null(strstr(slot->reason, "serve.listen"));
	assert_non_null(strstr(slot->reason, "--listen"));
	set_option(f, "listen", "192.0.2.1:8000");
	assert_int_equal(serve_module.init(a, &slot->state), -EADDRNOTAVAIL);
	set_option(f, "listen", "127.0.0.1:0");
	set_tls(f, "/nonexistent/cert.pem", "/nonexistent/key.pem");
	assert_int_equal(serve_module.init(a, &slot->state), -ENOENT);
	assert_non_null(strstr(slot->reason, "serve.tls_cert: cannot read /nonexistent/cert.pem"));
	set_tls(f, "/dev/null", "/dev/null");
	assert_int_equal(serve_module.init(a, &slot->state), -EINVAL);
	assert_non_null(strstr(slot->reason, "serve.tls_cert"));
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(refuses_what_it_must),
	    cmocka_unit_test(asks_for_the_token),
	    cmocka_unit_test(asks_others_for_the_token),
	    cmocka_unit_test(bounds_the_body),
	    cmocka_unit_test(serves_the_page),
	    cmocka_unit_test(serves_each_file_packed),
	    cmocka_unit_test(serves_each_format),
	    cmocka_unit_test(answers_metrics),
	    cmocka_unit_test(answers_metrics_otherwise),
	    cmocka_unit_test(answers_status),
	    cmocka_unit_test(knows_when_it_is_ready),
	    cmocka_unit_test(describes_each_route),
	    cmocka_unit_test(describes_the_status),
	    cmocka_unit_test(counts_its_requests),
	    cmocka_unit_test(serves_among_idle_clients),
	    cmocka_unit_test(says_why_it_cannot_listen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
