/* request_postgresql_messages_test.c - what is taken for the beginning of PostgreSQL's protocol, at
 * the beginning of a connection and in its middle.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>
#include "../../bpf/request_postgresql_messages.h"

#define TEXT(x) x, sizeof(x) - 1
#define Q10 "0123456789"
#define Q100 Q10 Q10 Q10 Q10 Q10 Q10 Q10 Q10 Q10 Q10

static struct request_work *work_of(const void *bytes, size_t n)
{
	struct request_work *w = malloc(sizeof(*w));

	assert_non_null(w);
	memset(w, 'Z', sizeof(*w));
	w->at = REQUEST_HELD;
	w->end = REQUEST_HELD + n;
	memcpy(w->bytes + w->at, bytes, n);
	return w;
}

static int recognised(const void *bytes, size_t n)
{
	struct request_work *w = work_of(bytes, n);
	int known = postgresql_recognise(w);

	free(w);
	return known;
}

static void what_it_is(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} cases[] = {
	    {TEXT("\0\0\0)\0\x03\0\0user\0postgres\0database\0postgres\0\0")},
	    {TEXT("\0\0\0)\0\x03\0\2user\0postgres\0database\0postgres\0\0")},
	    {TEXT("\0\0\0\x11\0\x03\0\0jit\0off\0\0")},
	    {TEXT("\0\0\1)\0\x03\0\0user\0")}, /* the rest is still to come */
	    {TEXT("\0\0\0\x08\x04\xd2\x16\x2f")},
	    {TEXT("\0\0\0\x08\x04\xd2\x16\x30")},
	    {TEXT("\0\0\0\x10\x04\xd2\x16\x2e\0\0-\x89\x1e\xba\x9bN")},
	    {TEXT("Q\0\0\0\x0dselect 1\0")},
	    {TEXT("Q\0\0\0\x05\0")},
	    {TEXT("Q\0\0\0\x6f-- \xc3\xa4\n" Q100 "\0")},
	    {TEXT("Q\0\1\0\0" Q100)},
	    {TEXT("Q\0\0\0\x06x\0Q\0\0\0\x06y\0")},
	    {TEXT("P\0\0\0\x10\0select 1\0\0\0S\0\0\0\4")},
	    {TEXT("P\0\0\0\x12s1\0select 1\0\0\0D\0\0\0\x08Ss1\0H\0\0\0\4")},
	    {TEXT("B\0\0\0\x0e\0s1\0\0\0\0\0\0\0E\0\0\0\x09\0\0\0\0\0S\0\0\0\4")},
	    {TEXT("E\0\0\0\x09\0\0\0\0\2S\0\0\0\4")},
	    {TEXT("C\0\0\0\x08Ss1\0S\0\0\0\4")},
	    {TEXT("p\0\0\0\7pw\0Q\0\0\0\x06y\0")},
	    {TEXT("P\0\1\0\0stmt\0" Q100)},
	    {TEXT("B\0\1\0\0\0stmt\0\0\1\0\1\0\1\0\1\0\0" Q100)},
	    {TEXT("P\0\0\0\x10\0select 1\0\0\0B\0\0\1\0\0\0\0\0\0\1\0\0" Q100)},
	    {TEXT("d\0\0\0\5xd\0\0\0\5xd\0\0\0\5xd\0\0\0\5xd\0\0\0\5xd\0\0\0\5xd\0\0\0\5xd\0\0\0\5x"
		  "d\0\0\0\5xd\0\0\0\5xd\0\0\0\5x")},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(recognised(cases[i].bytes, cases[i].n), 1);
		/* its beginning may be it, or is it already */
		for (size_t n = 1; n < cases[i].n && n < REQUEST_HELD; n++)
			assert_int_not_equal(recognised(cases[i].bytes, n), 0);
	}
}

static void what_it_is_not(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} cases[] = {
	    {TEXT("GET / HTTP/1.1\r\n")},
	    {TEXT("POST / HTTP/1.1\r\n")},
	    {TEXT("DELETE / HTTP/1.1\r\n")},
	    {TEXT("PRI * HTTP/2.0\r\n")},
	    {TEXT("*1\r\n$4\r\nPING\r\n")},
	    {TEXT("PING\r\n")},
	    {TEXT("AMQP\0\0\x09\1")},
	    {TEXT("EHLO x\r\n")},
	    {TEXT("SSH-2.0-OpenSSH_9.2\r\n")},
	    {TEXT("\x16\x03\x01\x01\x20\x01\0\x01\x1c\x03\x03")},
	    {TEXT("\0\0\0\x2a\0\x12\0\3\0\0\0\1")},		     /* Kafka ... */
	    {TEXT("\0\0\0\x17\0\3\0\0\0\0\0\2\0\7clients\0\0\0\0")}, /* ... asks */
	    {TEXT(
		"\0\0\0\x2c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x75\x30\0\0\0\0\0\0\0\0")}, /* ZooKeeper */
	    {TEXT("\0\0\0\x11\x80\1\0\1\0\0\0\4ping\0\0\0\0\0")},		    /* Thrift */
	    {TEXT("\0\0\0)\0\2\0\0user\0postgres\0database\0postgres\0\0")},	    /* protocol 2 */
	    {TEXT("\0\0\0)\0\x03\0\0user\0postgres\0database\0postgresXX")},
	    {TEXT("\0\0\0)\0\x03\0\0user\0postgres\0database\0postgres\0\0more")},
	    {TEXT("\0\0\0\x09\0\x03\0\0\0")}, /* no user */
	    {TEXT("\0\0\x4e\x20\0\x03\0\0user\0")},
	    {TEXT("\0\0\0\x09\x04\xd2\x16\x2f\0")},
	    {TEXT("\0\0\0\x08\x04\xd2\x16\x2fmore")},
	    {TEXT("Q\0\0\0\x0dselect 1X")},
	    {TEXT("Q\0\0\0\x0dsel\0ct 1\0")},
	    {TEXT("Q\0\0\0\x0dsel\1ct 1\0")},
	    {TEXT("Q\0\0\0\x04")},
	    {TEXT("Q\0\0\0\x06x\0Z\0\0\0\5I")},
	    {TEXT("Q\0\0\0\x6a" Q100 "xX")},
	    {TEXT("Q\0\1\0\0" Q10 "\0" Q100)},
	    {TEXT("Q\1\0\0\0" Q100)},
	    {TEXT("Z\0\0\0\5I")},
	    {TEXT("P\0\0\0\x10\0select 1\1\0\0S\0\0\0\4")},
	    {TEXT("P\0\0\0\x08\0x\0\0S\0\0\0\4")},
	    {TEXT("P\0\0\0\x10\0select 1\0\0\0S\0\0\0\5X")},
	    {TEXT("D\0\0\0\x08Xs1\0S\0\0\0\4")},
	    {TEXT("B\0\1\0\0\0stmt\0\1\1\0\1\0\1\0\1\0\0" Q100)},
	    {TEXT("X\0\0\0\4X\0\0\0\5")},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(recognised(cases[i].bytes, cases[i].n), 0);
}

static void what_cannot_be_told_yet(void **state)
{
	assert_int_equal(recognised(TEXT("\0")), -1);
	assert_int_equal(recognised(TEXT("\0\0\0)\0\x03\0\0us")), -1);
	assert_int_equal(recognised(TEXT("Q\0\0")), -1);
	assert_int_equal(recognised(TEXT("Q\0\0\0\x0dselect")), -1);
	assert_int_equal(recognised(TEXT("P\0\0\0\x10\0select 1\0\0\0")), -1);
	assert_int_equal(recognised(TEXT("S\0\0\0\4")), -1);
	/* the middle of a COPY; a batch that goes on */
	assert_int_equal(recognised(TEXT("d\0\1\0\0" Q100)), -1);
	assert_int_equal(recognised(TEXT("P\0\0\0\x74\0" Q100 "xxxxxxxx\0\0\0")), -1);
	assert_int_equal(recognised(TEXT("Q\1")), 0);
	assert_int_equal(recognised(TEXT("\0\1")), 0);
}

/* Random bytes, also with headers that are right, never are more than seldom taken for it, and
 * nothing is read outside the window (by the sanitizers). */
static void random_bytes(void **state)
{
	uint8_t bytes[REQUEST_WINDOW];
	uint32_t seed = 1;
	int yes = 0;

	for (int i = 0; i < 200000; i++) {
		size_t n;

		for (size_t k = 0; k < 16; k++)
			bytes[k] = (seed = seed * 1664525 + 1013904223) >> 24;
		n = 1 + (seed >> 8) % sizeof(bytes);
		memcpy(bytes + 16, bytes, 16);
		if (i & 1)
			bytes[0] = "QPBDECSHFXcdfp"[seed % 14];
		yes += recognised(bytes, n < 32 ? n : 32) == 1;
	}
	assert_int_equal(yes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_it_is),
	    cmocka_unit_test(what_it_is_not),
	    cmocka_unit_test(what_cannot_be_told_yet),
	    cmocka_unit_test(random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
