/* log_test.c - what log_write() puts on standard error, which each test swaps for a pipe. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "core/config.h"
#include "core/log.h"

static int pipe_in = -1, saved_stderr = -1;
static char text[1 << 16];

static int swap_stderr(void **state)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	saved_stderr = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	pipe_in = fds[0];
	log_setup(LOG_TEXT, LOG_INFO);
	return 0;
}

static int restore_stderr(void **state)
{
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(pipe_in);
	return 0;
}

/* all that was written since the last call */
static const char *written(void)
{
	ssize_t n = read(pipe_in, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* one line without its time: "warn  disk: gone" */
static const char *written_line(void)
{
	char *end;
	size_t length = strlen(written());

	assert_true(length > strlen("2026-11-23T18:12:11.123Z "));
	end = strchr(text, '\n');
	assert_ptr_equal(end, text + length - 1);
	*end = '\0';
	return text + strlen("2026-11-23T18:12:11.123Z ");
}

static void say(enum log_level level, const char *area, const char *message)
{
	struct log_site site = {0};

	log_write(&site, level, area, "%s", message);
}

/* time() may be some milliseconds behind the clock that lines are stamped with. */
static time_t seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec;
}

static void test_text(void **state)
{
	time_t before = seconds_now(), logged;
	struct tm tm = {0};
	unsigned ms;
	char *rest;

	say(LOG_WARN, "disk", "cannot attach");
	assert_string_equal(written_line(), "warn  disk: cannot attach");
	rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	assert_non_null(rest);
	assert_int_equal(sscanf(rest, ".%3uZ ", &ms), 1);
	assert_int_equal(rest[4], 'Z');
	logged = timegm(&tm); /* UTC, whatever TZ is */
	assert_true(logged >= before && logged <= seconds_now());

	say(LOG_ERROR, "core", "x");
	assert_string_equal(written_line(), "error core: x");
	say(LOG_INFO, "core", "");
	assert_string_equal(written_line(), "info  core: ");
}

static void test_levels(void **state)
{
	uint64_t held = log_held_back();

	say(LOG_DEBUG, "a", "not seen");
	assert_string_equal(written(), "");
	log_setup(LOG_TEXT, LOG_ERROR);
	say(LOG_WARN, "a", "not seen");
	assert_string_equal(written(), "");
	log_setup(LOG_TEXT, LOG_DEBUG);
	say(LOG_DEBUG, "a", "seen");
	assert_string_equal(written_line(), "debug a: seen");
	assert_int_equal(log_held_back(), held); /* below the level is not held back */
}

static void test_text_cannot_be_forged(void **state)
{
	static const struct {
		const char *message, *expected;
	} cases[] = {
	    {"a\n2026-01-01T00:00:00.000Z info  b: c",
	     "info  x: a\\n2026-01-01T00:00:00.000Z info  b: c"},
	    {"\t\r\x1b[31m\x7f", "info  x: \\t\\r\\x1b[31m\\x7f"},
	    {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
	     "info  x: caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
	    /* one-byte escape sequence, line separator, right-to-left override */
	    {"\xc2\x9b"
	     "31m\xe2\x80\xa8\xe2\x80\xae",
	     "info  x: \\x9b31m\\u2028\\u202e"},
	    /* lone byte, cut sequence, overlong slash, surrogate, beyond Unicode */
	    {"\xff|\xe2\x82|\xc0\xaf|\xe0\x80\xaf|\xed\xa0\x80|\xf5\x80\x80\x80",
	     "info  x: "
	     "\\xff|\\xe2\\x82|\\xc0\\xaf|\\xe0\\x80\\xaf|\\xed\\xa0\\x80|\\xf5\\x80\\x80\\x80"},
	    {"\"\\", "info  x: \"\\"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		say(LOG_INFO, "x", cases[i].message);
		assert_string_equal(written_line(), cases[i].expected);
	}
	say(LOG_INFO, "x\ny", "z");
	assert_string_equal(written_line(), "info  x\\ny: z");
}

static void json_holds(const char *key, const char *expected)
{
	cJSON *line = cJSON_Parse(text);

	assert_non_null(line);
	assert_int_equal(cJSON_GetArraySize(line), 4);
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(line, key)), expected);
	cJSON_Delete(line);
}

static void test_json(void **state)
{
	static const char hard[] = "\"q\" \\ \n\t\r\x01\x1b\x7f caf\xc3\xa9 \xf0\x9f\x98\x80 "
				   "\xe2\x80\xa8";

	log_setup(LOG_JSON, LOG_INFO);
	say(LOG_WARN, "disk", hard);
	written_line();
	for (const char *p = text; *p; p++)
		assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
	assert_non_null(strstr(text, "\\u001b\\u007f"));
	assert_non_null(strstr(text, "\\u2028"));
	json_holds("message", hard); /* a reader gets back just what was said */
	json_holds("level", "warn");
	json_holds("area", "disk");
	assert_int_equal(strncmp(text, "{\"time\":\"20", 11), 0);

	say(LOG_WARN, "a\"b", "\xff\xc3");
	written_line();
	json_holds("message", "\xef\xbf\xbd\xef\xbf\xbd");
	json_holds("area", "a\"b");
}

/* longest lines in the worst bytes: whole, closed, marked as cut, and in one piece for a pipe */
static void test_long_lines(void **state)
{
	static const char bytes[] = {'x', 1, '"', (char)0xff};
	char message[5000];

	for (int format = LOG_TEXT; format <= LOG_JSON; format++)
		for (size_t i = 0; i < sizeof(bytes); i++) {
			size_t length;

			log_setup(format, LOG_INFO);
			memset(message, bytes[i], sizeof(message) - 1);
			message[sizeof(message) - 1] = '\0';
			say(LOG_INFO, "x", message);
			written_line();
			length = strlen(text) + 1;
			assert_true(length > 1000 && length <= PIPE_BUF);
			assert_non_null(strstr(text + length - 10, "..."));
			if (format == LOG_JSON) {
				cJSON *line = cJSON_Parse(text);

				assert_non_null(line);
				cJSON_Delete(line);
			}
			say(LOG_INFO, message, "y"); /* and as an area */
			written_line();
		}
}

static void test_rate_limit(void **state)
{
	struct log_site one = {0}, other = {0};
	uint64_t before = log_held_back();
	size_t lines = 0;

	for (int i = 0; i < LOG_BURST + 12; i++)
		log_write(&one, LOG_INFO, "x", "line %d", i);
	written();
	for (char *p = text; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, LOG_BURST);
	assert_int_equal(log_held_back() - before, 12);

	/* another site is not concerned */
	log_write(&other, LOG_INFO, "x", "other");
	assert_string_equal(written_line(), "info  x: other");

	/* as if the window had begun long enough ago */
	one.window_s -= LOG_WINDOW_S;
	log_write(&one, LOG_INFO, "x", "again");
	assert_string_equal(written_line(), "info  x: again (12 more like it held back)");
	log_write(&one, LOG_INFO, "x", "again");
	assert_string_equal(written_line(), "info  x: again");
	assert_int_equal(log_held_back() - before, 12);
}

static void test_macros_have_a_site_each(void **state)
{
	for (int i = 0; i < LOG_BURST + 1; i++) {
		log_warn("x", "one");
		log_warn("x", "two");
	}
	written();
	assert_non_null(strstr(text, "one"));
	assert_int_equal(strstr(text, "held") == NULL, 1);
	for (int i = 0, n = 0; text[i]; i++) {
		n += text[i] == '\n';
		if (!text[i + 1])
			assert_int_equal(n, 2 * LOG_BURST);
	}
}

/* what a full pipe does not take is counted, and said with the next line */
static void test_full_pipe(void **state)
{
	uint64_t before = log_held_back();
	struct log_site site = {0};
	char block[PIPE_BUF];

	memset(block, 'x', sizeof(block));
	while (write(STDERR_FILENO, block, sizeof(block)) > 0)
		;
	assert_int_equal(errno, EAGAIN);
	log_write(&site, LOG_INFO, "x", "lost");
	assert_int_equal(log_held_back() - before, 1);
	while (read(pipe_in, text, sizeof(text)) > 0)
		;
	log_write(&site, LOG_INFO, "x", "kept");
	assert_string_equal(written_line(), "info  x: kept (1 more like it held back)");
}

static void test_errno_is_kept(void **state)
{
	struct log_site site = {0};

	errno = ENOENT;
	log_write(&site, LOG_INFO, "x", "%m");
	assert_int_equal(errno, ENOENT);
	assert_string_equal(written_line(), "info  x: No such file or directory");
	close(STDERR_FILENO);
	errno = ENOENT;
	log_write(&site, LOG_INFO, "x", "into nothing");
	assert_int_equal(errno, ENOENT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, swap_stderr, restore_stderr)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_text),
	    TEST(test_levels),
	    TEST(test_text_cannot_be_forged),
	    TEST(test_json),
	    TEST(test_long_lines),
	    TEST(test_rate_limit),
	    TEST(test_macros_have_a_site_each),
	    TEST(test_full_pipe),
	    TEST(test_errno_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
