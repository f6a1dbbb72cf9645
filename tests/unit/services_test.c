/* services_test.c - /api/services and what is below it over a real socket, of requests counted in
 * arrays in memory; a client takes turns with the server in one thread.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include "request_fixture.h"
#include "serve/serve.h"

#define MS 1000000ULL
#define FIRST REQUEST_OTHERS
#define ANSWER_MAX (1 << 20)
#define DEADLINE_NS (10 * SECOND)

struct api {
	struct requests *r;
	int port;
	int status;
	char answer[ANSWER_MAX];
};

static int set_up(void **state)
{
	struct api *t = calloc(1, sizeof(*t));
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(any);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char listen[64], err[300];
	struct agent *a;

	assert_int_equal(bind(fd, (struct sockaddr *)&any, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&any, &n), 0);
	close(fd);
	t->port = ntohs(any.sin_port);
	t->r = requests_new();
	t->r->now_ns = agent_now_ns(); /* the handlers' clock is the real one */
	a = &t->r->agent;
	a->keeper_fd = -1;
	assert_int_equal(config_load(NULL, NULL, &a->config, err, sizeof(err)), 0);
	snprintf(listen, sizeof(listen), "127.0.0.1:%d", t->port);
	assert_int_equal(config_set(a->config, "serve", "listen", listen, err, sizeof(err)), 0);
	strcpy(t->r->shared.request_way, "socket");
	assert_int_equal(uv_loop_init(&a->loop), 0);
	a->slots_n = 2;
	a->slots[1].module = &serve_module;
	a->current = &a->slots[1];
	if (serve_module.init(a, &a->slots[1].state))
		fail_msg("%s", a->slots[1].reason);
	*state = t;
	return 0;
}

static int tear_down(void **state)
{
	struct api *t = *state;
	struct agent *a = &t->r->agent;

	serve_module.fini(a, a->slots[1].state);
	uv_run(&a->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&a->loop), 0);
	requests_fini(t->r);
	config_free(a->config);
	requests_free(t->r);
	free(t);
	return 0;
}

/* The answer to GET path, parsed; to be deleted. */
static cJSON *get(struct api *t, const char *path)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				 .sin_port = htons((in_port_t)t->port)};
	uint64_t until_ns = agent_now_ns() + DEADLINE_NS;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t got = 0;
	ssize_t n = -1;
	const char *body;
	char text[512];
	cJSON *json;

	snprintf(text, sizeof(text),
		 "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	while (n != 0) {
		if (agent_now_ns() > until_ns)
			fail_msg("no answer to %s", path);
		uv_run(&t->r->agent.loop, UV_RUN_NOWAIT);
		n = recv(fd, t->answer + got, ANSWER_MAX - 1 - got, MSG_DONTWAIT);
		got += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	t->answer[got] = '\0';
	t->status = got > 12 ? atoi(t->answer + 9) : 0;
	body = strstr(t->answer, "\r\n\r\n");
	json = body ? cJSON_Parse(body + 4) : NULL;
	if (!json)
		fail_msg("no JSON from %s: %.500s", path, t->answer);
	return json;
}

static const cJSON *at(const cJSON *json, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);

	if (!item)
		fail_msg("there is no %s", key);
	return item;
}

static double number(const cJSON *json, const char *key)
{
	return cJSON_IsNumber(at(json, key)) ? at(json, key)->valuedouble : NAN;
}

static const char *string(const cJSON *json, const char *key)
{
	assert_true(cJSON_IsString(at(json, key)));
	return at(json, key)->valuestring;
}

static bool is_null(const cJSON *json, const char *key)
{
	return cJSON_IsNull(at(json, key));
}

/* Two services and some requests of each. */
static void fill(struct requests *r)
{
	uint64_t id = requests_cgroup(r, "/system.slice/web.service");

	requests_service(r, FIRST, id, 80, REQUEST_HTTP, TCP_INBOUND);
	requests_service(r, FIRST + 1, id, 0, REQUEST_POSTGRESQL, TCP_OUTBOUND);
	requests_operation(r, FIRST, FIRST, "GET /");
	requests_operation(r, FIRST + 1, FIRST, "POST /\"");
	requests_operation(r, FIRST + 2, FIRST + 1, "SELECT");
	assert_int_equal(requests_init(r), 0);
	r->now_ns = agent_now_ns() - PERIOD - 4 * SECOND;
	requests_tick(r);
	requests_count(r, FIRST, 0, 60, 10 * MS, REQUEST_OK);
	requests_count(r, FIRST, 1, 20, 10 * MS, REQUEST_ERROR);
	requests_count(r, FIRST + 1, 1, 10, 500 * MS, REQUEST_OK);
	requests_add(&requests_of(r, FIRST, 0)->response, 90, 20 * MS);
	requests_add(&requests_of(r, FIRST, 0)->queue, 90, MS);
	r->operation_counts[(FIRST + 2) * SHARDS].outcome[REQUEST_OK] = 5; /* not timed */
	r->totals[0].unseen_bytes[REQUEST_UNSEEN_TLS] = 1000;
	r->totals[1].unseen_bytes[REQUEST_UNSEEN_TLS] = 24;
}

static void answers_services(void **state)
{
	struct api *t = *state;
	const cJSON *list, *web, *database, *operation;
	double window;
	cJSON *json;

	fill(t->r);
	json = get(t, "/api/services");
	assert_int_equal(t->status, 200);
	window = number(json, "window_seconds");
	assert_true(window >= 4);
	assert_near(number(json, "total"), 2, 0);
	assert_near(number(at(json, "unseen_bytes"), "tls"), 1024, 0);
	assert_near(number(at(json, "unseen_bytes"), "compat"), 0, 0);
	list = at(json, "services");
	assert_int_equal(cJSON_GetArraySize(list), 2);
	web = cJSON_GetArrayItem(list, 0);
	assert_string_equal(string(web, "name"), "web:80");
	assert_string_equal(string(web, "protocol"), "http");
	assert_string_equal(string(web, "direction"), "inbound");
	assert_string_equal(string(web, "cgroup"), "/system.slice/web.service");
	assert_string_equal(string(web, "container"), "");
	assert_near(number(web, "port"), 80, 0);
	assert_near(number(web, "requests_total"), 90, 0);
	assert_near(number(web, "errors_total"), 20, 0);
	assert_near(number(web, "rate"), 90 / window, 1e-6);
	assert_near(number(web, "error_ratio"), 20.0 / 90, 1e-9);
	assert_near(number(web, "p50"), 0.01, 0.01 * 0.045);
	assert_near(number(web, "p95"), 0.5, 0.5 * 0.045);
	assert_near(number(web, "p99"), 0.5, 0.5 * 0.045);
	assert_near(number(web, "response_p95"), 0.02, 0.02 * 0.045);
	assert_near(number(web, "queue_p99"), 0.001, 0.001 * 0.045);
	operation = cJSON_GetArrayItem(at(web, "operations"), 1);
	assert_int_equal(cJSON_GetArraySize(at(web, "operations")), 2);
	assert_string_equal(string(operation, "name"), "POST /\"");
	assert_near(number(operation, "requests_total"), 10, 0);
	assert_near(number(operation, "rate"), 10 / window, 1e-6);
	assert_near(number(operation, "error_ratio"), 0, 0);
	assert_near(number(operation, "p50"), 0.5, 0.5 * 0.045);
	database = cJSON_GetArrayItem(list, 1);
	assert_string_equal(string(database, "name"), "web:unix");
	assert_true(is_null(database, "port"));
	assert_true(is_null(database, "p50") && is_null(database, "queue_p50"));
	assert_near(number(database, "rate"), 5 / window, 1e-6);
	cJSON_Delete(json);
}

static void answers_a_part_of_them(void **state)
{
	struct api *t = *state;
	cJSON *json;

	fill(t->r);
	json = get(t, "/api/services?direction=outbound");
	assert_near(number(json, "total"), 1, 0);
	assert_string_equal(string(at(json, "services")->child, "name"), "web:unix");
	cJSON_Delete(json);
	json = get(t, "/api/services?limit=1&offset=1");
	assert_near(number(json, "total"), 2, 0);
	assert_int_equal(cJSON_GetArraySize(at(json, "services")), 1);
	assert_string_equal(string(at(json, "services")->child, "name"), "web:unix");
	cJSON_Delete(json);
	json = get(t, "/api/services?offset=128");
	assert_int_equal(cJSON_GetArraySize(at(json, "services")), 0);
	cJSON_Delete(json);
	for (const char *const wrong[] = {"?direction=up", "?direction=", "?limit=0", "?limit=129",
					  "?offset=-1", "/slow?limit=257", "/slow?limit=0", NULL},
			       *const *w = wrong;
	     *w; w++) {
		char path[64];

		snprintf(path, sizeof(path), "/api/services%s", *w);
		json = get(t, path);
		assert_int_equal(t->status, 400);
		assert_string_equal(string(at(json, "error"), "code"), "bad_request");
		cJSON_Delete(json);
	}
}

static void says_that_it_is_off(void **state)
{
	struct api *t = *state;

	t->r->maps.request_services = NULL;
	t->r->maps.request_totals = NULL;
	t->r->shared.request_way[0] = '\0';
	assert_int_equal(requests_init(t->r), -ENOTSUP);
	for (const char *const paths[] = {"/api/services", "/api/services/slow", NULL}, *const *p =
											    paths;
	     *p; p++) {
		cJSON *json = get(t, *p);

		assert_int_equal(t->status, 503);
		assert_string_equal(string(at(json, "error"), "code"), "unavailable");
		cJSON_Delete(json);
	}
}

static void the_status_says_how(void **state)
{
	struct api *t = *state;
	cJSON *json;

	fill(t->r);
	json = get(t, "/api/status");
	assert_string_equal(string(at(json, "requests"), "way"), "socket");
	assert_near(number(at(at(json, "requests"), "unseen_bytes"), "tls"), 1024, 0);
	cJSON_Delete(json);
	t->r->maps.request_totals = NULL;
	/* without its NUL */
	memset(t->r->shared.request_way, 'x', sizeof(t->r->shared.request_way));
	memset(&t->r->shared.tcp_sweep_ns, 'x', sizeof(t->r->shared.tcp_sweep_ns));
	json = get(t, "/api/status");
	assert_string_equal(string(at(json, "requests"), "way"), "xxxxxxxxxxxxxxxx");
	assert_near(number(at(at(json, "requests"), "unseen_bytes"), "tls"), 0, 0);
	cJSON_Delete(json);
}

/* --- slow requests */

static struct request_slow slow(struct api *t, uint16_t service, uint16_t operation)
{
	return (struct request_slow){
	    .at_ns = agent_now_ns() - 30 * SECOND,
	    .duration_ns = 700 * MS,
	    .queue_ns = 5 * MS,
	    .run_queue_ns = 100 * MS,
	    .cpu_ns = 200 * MS,
	    .disk_ns = 50 * MS,
	    .cgroup = t->r->service[service].key.cgroup,
	    .request_bytes = 123,
	    .response_bytes = 4567,
	    .pid = 42,
	    .service = service,
	    .operation = operation,
	    .outcome = REQUEST_ERROR,
	    .family = AF_INET,
	    .peer_port = 5555,
	    .peer = {10, 1, 2, 3},
	};
}

static void take(struct api *t, const struct request_slow *s)
{
	request_slow_take(request_source(&t->r->agent), s, sizeof(*s));
}

static void answers_slow_requests(void **state)
{
	struct api *t = *state;
	const cJSON *list, *item;
	double before = (double)time(NULL) - 30;
	struct request_slow s;
	cJSON *json;

	fill(t->r);
	json = get(t, "/api/services/slow");
	assert_int_equal(t->status, 200);
	assert_int_equal(cJSON_GetArraySize(at(json, "slow")), 0);
	cJSON_Delete(json);
	s = slow(t, FIRST, FIRST);
	take(t, &s);
	s = slow(t, FIRST + 1, FIRST + 2);
	s.run_queue_ns = s.cpu_ns = s.disk_ns = 0; /* another task had read it */
	take(t, &s);
	json = get(t, "/api/services/slow");
	list = at(json, "slow");
	assert_int_equal(cJSON_GetArraySize(list), 2);
	item = cJSON_GetArrayItem(list, 1);
	assert_true(number(item, "at") >= before);
	assert_true(number(item, "at") <= (double)time(NULL) - 30 + 1);
	assert_string_equal(string(item, "service"), "web:80");
	assert_string_equal(string(item, "operation"), "GET /");
	assert_string_equal(string(item, "outcome"), "error");
	assert_string_equal(string(item, "cgroup"), "/system.slice/web.service");
	assert_string_equal(string(item, "peer"), "10.1.2.3:5555");
	assert_near(number(item, "duration_seconds"), 0.7, 1e-9);
	assert_near(number(item, "queue_seconds"), 0.005, 1e-9);
	assert_near(number(item, "run_queue_seconds"), 0.1, 1e-9);
	assert_near(number(item, "cpu_seconds"), 0.2, 1e-9);
	assert_near(number(item, "blocked_seconds"), 0.4, 1e-9);
	assert_near(number(item, "disk_seconds"), 0.05, 1e-9);
	assert_near(number(item, "request_bytes"), 123, 0);
	assert_near(number(item, "response_bytes"), 4567, 0);
	assert_near(number(item, "pid"), 42, 0);
	assert_near(number(list->child, "blocked_seconds"), 0, 0);
	cJSON_Delete(json);
	json = get(t, "/api/services/slow?service=web:80");
	assert_int_equal(cJSON_GetArraySize(at(json, "slow")), 1);
	assert_string_equal(string(at(json, "slow")->child, "service"), "web:80");
	cJSON_Delete(json);
	json = get(t, "/api/services/slow?limit=1");
	assert_int_equal(cJSON_GetArraySize(at(json, "slow")), 1);
	assert_string_equal(string(at(json, "slow")->child, "service"), "web:unix");
	cJSON_Delete(json);
}

static void names_the_peer(void **state)
{
	static const struct {
		uint8_t family, peer[16];
		const char *text;
	} cases[] = {
	    {AF_INET6, {[15] = 1}, "[::1]:5555"},
	    {AF_INET6, {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 9}, "10.0.0.9:5555"},
	    {AF_INET, {127, 0, 0, 1}, "127.0.0.1:5555"},
	    {AF_UNIX, {0}, "unix"},
	};
	struct api *t = *state;

	fill(t->r);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct request_slow s = slow(t, FIRST, FIRST);
		cJSON *json;

		s.family = cases[i].family;
		memcpy(s.peer, cases[i].peer, sizeof(s.peer));
		take(t, &s);
		json = get(t, "/api/services/slow?limit=1");
		assert_string_equal(string(at(json, "slow")->child, "peer"), cases[i].text);
		cJSON_Delete(json);
	}
}

/* A service that has no name yet is not there, nor are its samples. */
static void waits_for_names(void **state)
{
	struct api *t = *state;
	struct request_slow s;
	cJSON *json;

	fill(t->r);
	requests_service(t->r, FIRST + 2, 4711, 81, REQUEST_HTTP, TCP_INBOUND);
	requests_operation(t->r, FIRST + 3, FIRST + 2, "GET");
	requests_count(t->r, FIRST + 3, 0, 1000, MS, REQUEST_OK);
	requests_tick(t->r);
	s = slow(t, FIRST + 2, FIRST + 3);
	take(t, &s);
	json = get(t, "/api/services");
	assert_near(number(json, "total"), 2, 0);
	cJSON_Delete(json);
	json = get(t, "/api/services/slow");
	assert_int_equal(cJSON_GetArraySize(at(json, "slow")), 0);
	cJSON_Delete(json);
}

/* --- statements */

static void executes(struct api *t, uint32_t weight, const char *text)
{
	struct request_statement s = {.weight = weight, .service = FIRST + 1};

	s.text_bytes = (uint16_t)(strlen(text) + 1);
	memcpy(s.text, text, s.text_bytes);
	request_ring_take(request_source(&t->r->agent), &s, sizeof(s));
}

static void answers_statements(void **state)
{
	const struct request_statement bound = {.weight = 1, .service = FIRST + 1, .prepared = 9};
	struct api *t = *state;
	const cJSON *list, *item;
	cJSON *json, *services;

	fill(t->r);
	executes(t, 2, "select 'secret'");
	executes(t, 1, "delete from \"a\tb\"");
	request_ring_take(request_source(&t->r->agent), &bound, sizeof(bound));
	json = get(t, "/api/services/statements");
	services = get(t, "/api/services?direction=outbound");
	assert_int_equal(t->status, 200);
	assert_near(number(json, "total"), 3, 0);
	list = at(json, "statements");
	assert_int_equal(cJSON_GetArraySize(list), 3);
	item = list->child;
	assert_string_equal(string(item, "statement"), "select ?");
	assert_string_equal(string(item, "service"), "web:unix");
	assert_string_equal(string(item, "protocol"), "postgresql");
	assert_string_equal(string(item, "direction"), "outbound");
	assert_near(number(item, "samples"), 1, 0);
	assert_near(number(item, "share"), 0.5, 0);
	/* the two rates are of moments that follow each other */
	assert_true(number(item, "rate_estimated") >=
		    number(at(services, "services")->child, "rate") / 2);
	assert_string_equal(string(item->next, "statement"), "delete from \"a?b\"");
	assert_true(is_null(item->next->next, "statement"));
	cJSON_Delete(json);
	cJSON_Delete(services);
	json = get(t, "/api/services/statements?limit=1&offset=1&service=web:unix");
	assert_near(number(json, "total"), 3, 0);
	assert_int_equal(cJSON_GetArraySize(at(json, "statements")), 1);
	assert_near(number(at(json, "statements")->child, "share"), 0.25, 0);
	cJSON_Delete(json);
	json = get(t, "/api/services/statements?service=web:80");
	assert_near(number(json, "total"), 0, 0);
	cJSON_Delete(json);
	cJSON_Delete(get(t, "/api/services/statements?limit=0"));
	assert_int_equal(t->status, 400);
	requests_fini(t->r);
	cJSON_Delete(get(t, "/api/services/statements"));
	assert_int_equal(t->status, 503);
	assert_int_equal(requests_init(t->r), 0);
}

/* --- the description */

/* What a schema says of an object, with what it takes from others by allOf. */
static const cJSON *property(const cJSON *schemas, const cJSON *schema, const char *key)
{
	const cJSON *ref = cJSON_GetObjectItem(schema, "$ref"), *part, *found;

	if (ref) /* "#/components/schemas/NAME" */
		schema = cJSON_GetObjectItem(schemas, strrchr(ref->valuestring, '/') + 1);
	found = cJSON_GetObjectItem(cJSON_GetObjectItem(schema, "properties"), key);
	cJSON_ArrayForEach (part, cJSON_GetObjectItem(schema, "allOf"))
		found = found ? found : property(schemas, part, key);
	return found;
}

static void check_described(const cJSON *schemas, const char *name, const cJSON *object)
{
	const cJSON *schema = cJSON_GetObjectItem(schemas, name), *item;

	assert_non_null(schema);
	cJSON_ArrayForEach (item, object)
		if (!property(schemas, schema, item->string))
			fail_msg("%s.%s is not described", name, item->string);
	cJSON_ArrayForEach (item, cJSON_GetObjectItem(schema, "required"))
		if (!cJSON_GetObjectItem(object, item->valuestring))
			fail_msg("%s.%s is not served", name, item->valuestring);
	cJSON_ArrayForEach (item, cJSON_GetObjectItem(schema, "properties"))
		if (!cJSON_GetObjectItem(object, item->string))
			fail_msg("%s.%s is described, not served", name, item->string);
}

static void describes_what_it_answers(void **state)
{
	struct api *t = *state;
	const cJSON *schemas, *service;
	cJSON *api, *json;
	struct request_slow s;

	fill(t->r);
	s = slow(t, FIRST, FIRST);
	take(t, &s);
	api = get(t, "/api/openapi.json");
	schemas = at(at(api, "components"), "schemas");
	json = get(t, "/api/services");
	service = at(json, "services")->child;
	check_described(schemas, "Services", json);
	check_described(schemas, "Service", service);
	check_described(schemas, "Figures", at(service, "operations")->child);
	cJSON_Delete(json);
	json = get(t, "/api/services/slow");
	check_described(schemas, "Slow", json);
	check_described(schemas, "SlowRequest", at(json, "slow")->child);
	cJSON_Delete(json);
	executes(t, 1, "select 1");
	json = get(t, "/api/services/statements");
	check_described(schemas, "Statements", json);
	check_described(schemas, "Statement", at(json, "statements")->child);
	cJSON_Delete(json);
	cJSON_Delete(api);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	    TEST(answers_services),	     TEST(answers_a_part_of_them),
	    TEST(says_that_it_is_off),	     TEST(the_status_says_how),
	    TEST(answers_slow_requests),     TEST(names_the_peer),
	    TEST(waits_for_names),	     TEST(answers_statements),
	    TEST(describes_what_it_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
