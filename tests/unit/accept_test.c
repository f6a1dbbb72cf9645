/* accept_test.c - content negotiation, with what real clients send; listen addresses and Host. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "serve/accept.h"
#include "serve/address.h"

#define PROTO "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"

static void chooses_a_format(void **state)
{
	static const struct {
		const char *accept;
		enum exposition format;
	} cases[] = {
	    {NULL, EXPOSITION_TEXT},
	    {"", EXPOSITION_TEXT},
	    {"*/*", EXPOSITION_TEXT},
	    /* Prometheus 2.42 */
	    {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
	     "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
	     EXPOSITION_OPENMETRICS},
	    /* ... with native histograms */
	    {PROTO "encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,"
		   "application/openmetrics-text;version=0.0.1;q=0.75,"
		   "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
	     EXPOSITION_PROTOBUF},
	    /* Prometheus 3 */
	    {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
	     "application/openmetrics-text;version=0.0.1;q=0.5,"
	     "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
	     "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
	     EXPOSITION_OPENMETRICS},
	    /* Firefox */
	    {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", EXPOSITION_TEXT},
	    {"text/plain", EXPOSITION_TEXT},
	    {"text/*;q=0.2, application/openmetrics-text; version=\"1.0.0\" ;q=0.3",
	     EXPOSITION_OPENMETRICS},
	    {"Application/OpenMetrics-Text", EXPOSITION_OPENMETRICS},
	    {"text/plain;q=0.5, application/openmetrics-text;q=0.50", EXPOSITION_TEXT},
	    {"application/openmetrics-text;q=0.5, text/plain;q=0.5", EXPOSITION_OPENMETRICS},
	    {"application/openmetrics-text;q=0, text/plain;q=0.001", EXPOSITION_TEXT},
	    {"application/openmetrics-text;q=0, */*", EXPOSITION_TEXT},
	    {"text/plain;q=0, */*;q=0.1", EXPOSITION_OPENMETRICS},
	    {"application/openmetrics-text;version=2.0.0", EXPOSITION_TEXT},
	    {PROTO "encoding=text", EXPOSITION_TEXT},
	    {"application/vnd.google.protobuf;proto=other;encoding=delimited", EXPOSITION_TEXT},
	    {"application/*", EXPOSITION_OPENMETRICS},
	    {";;,,/,*/plain,=,q=1", EXPOSITION_TEXT},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (accept_choose(cases[i].accept) != cases[i].format)
			fail_msg("%s", cases[i].accept);
}

static void parses_addresses(void **state)
{
	static const struct {
		const char *text, *back;
		bool loopback;
	} good[] = {
	    {"127.0.0.1:8000", "127.0.0.1:8000", true},
	    {"127.9.9.9:0", "127.9.9.9:0", true},
	    {"0.0.0.0:65535", "0.0.0.0:65535", false},
	    {"10.1.2.3:80", "10.1.2.3:80", false},
	    {"[::1]:8000", "[::1]:8000", true},
	    {"[::]:8000", "[::]:8000", false},
	    {"[0:0::1]:1", "[::1]:1", true},
	    {"[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:1", true},
	};
	static const char *const bad[] = {
	    "",
	    "8000",
	    ":8000",
	    "127.0.0.1",
	    "127.0.0.1:",
	    "127.0.0.1:x",
	    "127.0.0.1:-1",
	    "127.0.0.1:65536",
	    "127.0.0.1:800000",
	    "[::1]8000",
	    "[::1",
	    "::1:8000",
	    "[127.0.0.1]:1",
	    "a.example:1",
	    "1.2.3:1",
	    "[]:1",
	    "127.0.0.1:1 ",
	};
	struct address a;
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (address_parse(good[i].text, &a))
			fail_msg("%s", good[i].text);
		address_print(&a, text);
		assert_string_equal(text, good[i].back);
		assert_int_equal(address_is_loopback(&a), good[i].loopback);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (address_parse(bad[i], &a) != -EINVAL)
			fail_msg("%s", bad[i]);
}

static void knows_local_hosts(void **state)
{
	static const char *const local[] = {"localhost",      "LocalHost:8000", "127.0.0.1",
					    "127.0.0.1:9999", "127.1.2.3:1",	"[::1]",
					    "[::1]:8000"};
	static const char *const other[] = {
	    "",
	    "evil.example",
	    "localhost.evil.example",
	    "127.0.0.1.evil.example",
	    "evil.example:80",
	    "10.0.0.1",
	    "[::2]:8000",
	    "localhost:x",
	    "[::1",
	    "127.0.0.1:1:2",
	    "::1",
	};

	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
		if (!address_host_is_local(local[i]))
			fail_msg("%s", local[i]);
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
		if (address_host_is_local(other[i]))
			fail_msg("%s", other[i]);
}

static void knows_who_takes_gzip(void **state)
{
	static const struct {
		const char *header;
		bool takes;
	} cases[] = {
	    {NULL, false},
	    {"", false},
	    {"gzip", true},
	    {"GZip", true},
	    {"x-gzip", true},
	    {"br, deflate ,gzip;q=0.001", true},
	    {"gzip;q=0", false},
	    {"gzip ; Q=0.000, *", false},
	    {"*", true},
	    {"*;q=0", false},
	    {"*;q=0, gzip", true},
	    {"identity", false},
	    {"br", false},
	    {"gzipped", false},
	    {"not-gzip, \"gzip\"", false},
	    {",,;q=,gzip;", true},
	    {"deflate;q=1;gzip", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (accept_gzip(cases[i].header) != cases[i].takes)
			fail_msg("%s", cases[i].header ? cases[i].header : "no header");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(chooses_a_format),
	    cmocka_unit_test(knows_who_takes_gzip),
	    cmocka_unit_test(parses_addresses),
	    cmocka_unit_test(knows_local_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
