/* top_test.c - what trimtab top makes of the API's answers: numbers, rows, order, lines that fit.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "client/client.h"
#include "client/format.h"
#include "client/top_view.h"

#define LINES_MAX 256

static const char services[] =
    "{\"window_seconds\":12.0,\"total\":4,\"services\":["
    "{\"name\":\"redis-server:6379\",\"protocol\":\"redis\",\"direction\":\"inbound\",\"port\":"
    "6379,"
    "\"rate\":12345.6,\"error_ratio\":0,\"p50\":0.0000123,\"p95\":0.000412,\"p99\":0.0013,"
    "\"queue_p95\":0.00005},"
    "{\"name\":\"shop:5432\",\"protocol\":\"postgresql\",\"direction\":\"outbound\",\"port\":5432,"
    "\"rate\":20.25,\"error_ratio\":0.25,\"p50\":0.002,\"p95\":0.25,\"p99\":1.5,\"queue_p95\":null}"
    ","
    "{\"name\":\"nginx:80\",\"protocol\":\"http\",\"direction\":\"inbound\",\"port\":80,"
    "\"rate\":300,\"error_ratio\":0.00001,\"p50\":0.001,\"p95\":0.01,\"p99\":0.02,"
    "\"queue_p95\":0.003},"
    "{\"name\":\"a\\u001b[2Jb\\u00e9:1\",\"protocol\":\"amqp\",\"direction\":\"inbound\",\"port\":"
    "1,"
    "\"rate\":0.5,\"error_ratio\":0,\"p50\":null,\"p95\":null,\"p99\":null,\"queue_p95\":null}],"
    "\"unseen_bytes\":{\"tls\":1258291,\"http2\":0,\"io_uring\":512,\"compat\":0}}";

static const char status[] =
    "{\"probes\":[{\"name\":\"sched\",\"state\":\"failed\",\"reason\":\"x\"},"
    "{\"name\":\"request\",\"state\":\"attached\",\"reason\":\"\"},"
    "{\"name\":\"request_packet\",\"state\":\"off\",\"reason\":\"y\"}],"
    "\"modules\":[{\"name\":\"request\",\"state\":\"running\",\"reason\":\"\"}],"
    "\"losses\":[{\"probe\":\"sched\",\"reason\":\"unmatched\",\"lost\":7},"
    "{\"probe\":\"request\",\"reason\":\"gap\",\"lost\":0},"
    "{\"probe\":\"request\",\"reason\":\"out_of_sync\",\"lost\":12}]}";

static void read_services(struct top_view *v, const char *text)
{
	cJSON *json = cJSON_Parse(text);

	assert_non_null(json);
	assert_int_equal(top_view_services(v, json), 0);
	cJSON_Delete(json);
}

static void read_status(struct top_view *v, const char *text)
{
	cJSON *json = cJSON_Parse(text);

	assert_non_null(json);
	top_view_status(v, json);
	cJSON_Delete(json);
}

/* What is printed, line by line; free(*ret) when done. */
static size_t print(const struct top_view *v, const struct top_screen *screen, const char *foot,
		    char **ret, char *lines[LINES_MAX])
{
	size_t size, n = 0;
	FILE *out = open_memstream(ret, &size);

	assert_non_null(out);
	top_view_print(v, screen, "title", foot, out);
	assert_int_equal(fclose(out), 0);
	for (char *at = *ret, *line; (line = strsep(&at, "\n")) && at;) {
		assert_true(n < LINES_MAX);
		lines[n++] = line;
	}
	return n;
}

static size_t width_of(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

/* as dashboards/web/format.js gives them, but for its narrow space */
static void writes_times_as_the_page(void **state)
{
	static const struct {
		double s;
		const char *text;
	} cases[] = {
	    {0, "0"},
	    {NAN, "-"},
	    {INFINITY, ">64 s"},
	    {1e-9, "1.00 ns"},
	    {999.4e-9, "999 ns"},
	    {999.6e-9, "1.00 µs"},
	    {412e-6, "412 µs"},
	    {9.994e-6, "9.99 µs"},
	    {9.996e-6, "10.0 µs"},
	    {0.0013, "1.30 ms"},
	    {0.0999, "99.9 ms"},
	    {0.09996, "100 ms"},
	    {0.9994, "999 ms"},
	    {0.9996, "1.00 s"},
	    {64, "64.0 s"},
	    {1234, "1234 s"},
	};
	char text[FORMAT_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		format_seconds(cases[i].s, true, text);
		assert_string_equal(text, cases[i].text);
	}
	format_seconds(412e-6, false, text);
	assert_string_equal(text, "412 us");
}

static void writes_numbers_as_the_page(void **state)
{
	static const struct {
		void (*format)(double x, char ret[FORMAT_MAX]);
		double x;
		const char *text;
	} cases[] = {
	    {format_count, 0, "0"},	      {format_count, 7, "7"},
	    {format_count, 999, "999"},	      {format_count, 0.5, "0.50"},
	    {format_count, 20.25, "20.2"},    {format_count, 999.9, "1.00k"},
	    {format_count, 12345.6, "12.3k"}, {format_count, 1.5e15, "1500T"},
	    {format_count, NAN, "-"},	      {format_bytes, 0, "0 B"},
	    {format_bytes, 512, "512 B"},     {format_bytes, 1258291, "1.20 MiB"},
	    {format_percent, 0, "0"},	      {format_percent, 0.00001, "<0.01"},
	    {format_percent, 0.0005, "0.05"}, {format_percent, 0.001, "0.1"},
	    {format_percent, 0.123, "12.3"},  {format_percent, 1, "100"},
	    {format_percent, NAN, "-"},
	};
	char text[FORMAT_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cases[i].format(cases[i].x, text);
		assert_string_equal(text, cases[i].text);
	}
}

static void prints_a_table(void **state)
{
	static const char *const wanted[] = {
	    "title",
	    "since the start: not seen tls 1.20 MiB, io_uring 512 B; lost out_of_sync 12",
	    "SERVICE           PROTO      DIR RATE/s  ERR%     P50     P95     P99   QUEUE",
	    "redis-server:6379 redis      in   12.3k     0 12.3 us  412 us 1.30 ms 50.0 us",
	    "nginx:80          http       in     300 <0.01 1.00 ms 10.0 ms 20.0 ms 3.00 ms",
	    "shop:5432         postgresql out   20.2  25.0 2.00 ms  250 ms  1.50 s       -",
	    "a?[2Jb?:1         amqp       in    0.50     0       -       -       -       -",
	};
	struct top_view *v = calloc(1, sizeof(*v));
	struct top_screen screen = {};
	char *text, *lines[LINES_MAX], summary[128];
	size_t n;

	read_services(v, services);
	read_status(v, status);
	top_view_sort(v, 0);
	n = print(v, &screen, NULL, &text, lines);
	assert_int_equal(n, sizeof(wanted) / sizeof(wanted[0]));
	for (size_t i = 0; i < n; i++)
		assert_string_equal(lines[i], wanted[i]);
	top_view_summary(v, summary, sizeof(summary));
	assert_string_equal(summary, "4 services, in 12.6k/s, out 20.2/s, errors 0.04%, last 12 s");
	free(text);
	free(v);
}

static void sorts(void **state)
{
	static const char *const wanted[][4] = {
	    {"redis-server:6379", "nginx:80", "shop:5432", "a?[2Jb?:1"},
	    {"shop:5432", "nginx:80", "redis-server:6379", "a?[2Jb?:1"},
	    {"shop:5432", "nginx:80", "redis-server:6379", "a?[2Jb?:1"},
	    {"a?[2Jb?:1", "nginx:80", "redis-server:6379", "shop:5432"},
	};
	struct top_view *v = calloc(1, sizeof(*v));
	size_t order;

	read_services(v, services);
	for (order = 0; top_view_orders[order]; order++) {
		top_view_sort(v, order);
		for (size_t i = 0; i < 4; i++)
			assert_string_equal(v->row[i].name, wanted[order][i]);
	}
	assert_int_equal(order, 4);
	free(v);
}

/* Any size of screen: no line is too wide, none too many, and what is left out is counted. */
static void fits_the_screen(void **state)
{
	struct top_view *v = calloc(1, sizeof(*v));
	char *text, *lines[LINES_MAX];
	int left_out;

	read_services(v, services);
	read_status(v, status);
	for (size_t i = v->n; i < 100; i++) {
		v->row[i] = v->row[i % 4];
		snprintf(v->row[i].name, sizeof(v->row[i].name),
			 "namespace-of-team-%zu/pod-with-a-long-name-7d9f8b6c5d-x2x%zu/main:8080",
			 i, i);
		v->n = v->total = i + 1;
	}
	for (size_t columns = 40; columns <= 200; columns++)
		for (size_t rows = 6; rows <= 120; rows += 19) {
			struct top_screen screen = {
			    .columns = columns, .lines = rows, .utf8 = true};
			size_t n = print(v, &screen, "foot", &text, lines);

			assert_true(n <= rows);
			for (size_t i = 0; i < n; i++)
				assert_true(width_of(lines[i]) <= columns);
			assert_int_equal(strncmp(lines[2], "SERVICE", 7), 0);
			assert_non_null(strstr(lines[2], "RATE/s"));
			assert_non_null(strstr(lines[2], "P95"));
			assert_string_equal(lines[n - 1], "foot");
			if (n == rows && sscanf(lines[n - 2], "and %d more", &left_out) == 1)
				assert_int_equal(n - 5 + (size_t)left_out, 100);
			else
				assert_int_equal(n, 104);
			free(text);
		}
	free(v);
}

static void cuts_names_in_the_middle(void **state)
{
	struct top_view *v = calloc(1, sizeof(*v));
	struct top_screen screen = {.columns = 80};
	char *text, *lines[LINES_MAX];

	read_services(v, services);
	snprintf(v->row[0].name, sizeof(v->row[0].name), "namespace/pod-with-a-long-name:8080");
	print(v, &screen, NULL, &text, lines);
	assert_int_equal(strncmp(lines[3], "namespace/po~me:8080 redis", 26), 0);
	free(text);
	free(v);
}

/* colours are added, the text stays */
static void colours_errors(void **state)
{
	struct top_view *v = calloc(1, sizeof(*v));
	struct top_screen screen = {.colour = true};
	char *text, *lines[LINES_MAX];

	read_services(v, services);
	print(v, &screen, NULL, &text, lines);
	assert_string_equal(lines[0], "\033[1mtitle\033[m");
	assert_null(strchr(lines[3], '\033'));			 /* redis: none */
	assert_non_null(strstr(lines[4], "\033[31m25.0\033[m")); /* shop */
	free(text);
	free(v);
}

static void says_why_there_is_nothing(void **state)
{
	static const char empty[] = "{\"window_seconds\":12,\"total\":0,\"services\":[]}";
	static const struct {
		const char *status, *line;
	} cases[] = {
	    {status, "no request was seen in the last 12 s"},
	    {"{\"probes\":[{\"name\":\"request\",\"state\":\"failed\",\"reason\":\"no BTF\"}]}",
	     "no requests: the request probe is failed: no BTF"},
	    {"{\"probes\":[]}", "no requests: no request probe is loaded"},
	    {"{\"probes\":[{\"name\":\"request_packet\",\"state\":\"shed\"}],\"modules\":"
	     "[{\"name\":\"request\",\"state\":\"off\",\"reason\":\"switched off\"}]}",
	     "no requests: the request module is off: switched off"},
	};
	struct top_view *v = calloc(1, sizeof(*v));
	struct top_screen screen = {};
	char *text, *lines[LINES_MAX];

	read_services(v, empty);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t n;

		read_status(v, cases[i].status);
		n = print(v, &screen, NULL, &text, lines);
		assert_string_equal(lines[n - 1], cases[i].line);
		free(text);
	}
	free(v);
}

/* Whatever is answered, it is taken or refused, and a view that was good stays. */
static void refuses_what_is_no_answer(void **state)
{
	static const char *const wrong[] = {"{}",
					    "[]",
					    "3",
					    "{\"services\":[]}",
					    "{\"services\":{},\"total\":1}",
					    "{\"services\":[],\"total\":\"1\"}"};
	static const char odd[] = "{\"total\":-5,\"services\":[3,null,{\"name\":7,\"rate\":\"x\"}],"
				  "\"unseen_bytes\":[1],\"window_seconds\":null}";
	struct top_view *v = calloc(1, sizeof(*v));
	struct top_screen screen = {.columns = 60, .lines = 10};
	char *text, *lines[LINES_MAX], summary[128];

	read_services(v, services);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		cJSON *json = cJSON_Parse(wrong[i]);

		assert_int_equal(top_view_services(v, json), -EPROTO);
		assert_int_equal(v->n, 4);
		cJSON_Delete(json);
	}
	read_services(v, odd);
	read_status(v,
		    "{\"probes\":{\"a\":1},\"losses\":[3,{\"probe\":\"request\"}],\"modules\":[]}");
	assert_int_equal(v->n, 3);
	assert_int_equal(v->total, 3);
	assert_int_equal(print(v, &screen, NULL, &text, lines), 6);
	top_view_summary(v, summary, sizeof(summary));
	assert_non_null(strstr(summary, "3 services"));
	free(text);
	free(v);
}

static void takes_only_so_many(void **state)
{
	cJSON *json = cJSON_Parse("{\"total\":1000,\"services\":[]}");
	cJSON *list = cJSON_GetObjectItem(json, "services");
	struct top_view *v = calloc(1, sizeof(*v));
	struct top_screen screen = {};
	char *text, *lines[LINES_MAX];
	size_t n;

	for (int i = 0; i < TOP_ROWS_MAX + 10; i++)
		cJSON_AddItemToArray(list, cJSON_Parse("{\"name\":\"x:1\",\"rate\":1}"));
	assert_int_equal(top_view_services(v, json), 0);
	assert_int_equal(v->n, TOP_ROWS_MAX);
	n = print(v, &screen, NULL, &text, lines);
	assert_string_equal(lines[n - 1], "and 872 more");
	free(text);
	screen.lines = TOP_ROWS_MAX + 2; /* title and head, and one too few */
	n = print(v, &screen, NULL, &text, lines);
	assert_int_equal(n, screen.lines);
	assert_string_equal(lines[n - 1], "and 873 more");
	cJSON_Delete(json);
	free(text);
	free(v);
}

static void finds_where_trimtab_is(void **state)
{
	static const struct {
		const char *listen, *url, *found;
	} cases[] = {
	    {"127.0.0.1:8000", NULL, "http://127.0.0.1:8000"},
	    {"0.0.0.0:9", NULL, "http://127.0.0.1:9"},
	    {"[::]:9", NULL, "http://[::1]:9"},
	    {"[::1]:9", NULL, "http://[::1]:9"},
	    {"10.1.2.3:80", NULL, "http://10.1.2.3:80"},
	    {"127.0.0.1:0", "node:9/", "http://node:9"},
	    {"127.0.0.1:0", "https://node:9//", "https://node:9"},
	    {"127.0.0.1:0", NULL, NULL},
	};
	char err[CLIENT_ERROR_MAX];
	struct client c;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char listen[64];
		char *const env[] = {listen, (char *)"TRIMTAB_SERVE_TOKEN=0123456789abcdef", NULL};
		struct client_options o = {.url = cases[i].url};

		snprintf(listen, sizeof(listen), "TRIMTAB_SERVE_LISTEN=%s", cases[i].listen);
		if (!cases[i].found) {
			assert_int_equal(client_find(&o, env, &c, err, sizeof(err)), -EINVAL);
			assert_non_null(strstr(err, "--url"));
			continue;
		}
		assert_int_equal(client_find(&o, env, &c, err, sizeof(err)), 0);
		assert_string_equal(c.url, cases[i].found);
		assert_string_equal(c.token, "0123456789abcdef");
		client_free(&c);
	}
}

/* a token of this node's file goes to this node alone */
static void sends_the_token_to_its_own_node(void **state)
{
	static const struct {
		const char *url;
		bool sent;
	} cases[] = {{NULL, true},
		     {"127.0.0.1:9", true},
		     {"https://localhost:9", true},
		     {"http://localhost", true},
		     {"http://[::1]:9", true},
		     {"http://127.0.0.1:9@elsewhere:9", false},
		     {"http://localhost.elsewhere:9", false},
		     {"http://elsewhere", false}};
	char dir[] = "/tmp/trimtab-top-XXXXXX", path[64], err[CLIENT_ERROR_MAX];
	char *const env[] = {NULL};
	struct client c;
	FILE *file;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/token", dir);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs("abcdefabcdefabcdef\n", file);
	fclose(file);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct client_options o = {.url = cases[i].url, .state_dir = dir};

		assert_int_equal(client_find(&o, env, &c, err, sizeof(err)), 0);
		if (cases[i].sent)
			assert_string_equal(c.token, "abcdefabcdefabcdef");
		else
			assert_null(c.token);
		client_free(&c);
	}
	remove(path);
	remove(dir);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(writes_times_as_the_page),
	    cmocka_unit_test(writes_numbers_as_the_page),
	    cmocka_unit_test(prints_a_table),
	    cmocka_unit_test(sorts),
	    cmocka_unit_test(fits_the_screen),
	    cmocka_unit_test(cuts_names_in_the_middle),
	    cmocka_unit_test(colours_errors),
	    cmocka_unit_test(says_why_there_is_nothing),
	    cmocka_unit_test(refuses_what_is_no_answer),
	    cmocka_unit_test(takes_only_so_many),
	    cmocka_unit_test(finds_where_trimtab_is),
	    cmocka_unit_test(sends_the_token_to_its_own_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
