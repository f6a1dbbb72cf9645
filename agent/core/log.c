/* log.c - one line an event; see log.h.
 *
 * A line is at most LINE_MAX_BYTES, so that one write(2) of it to a pipe is never mixed with
 * another process's; what is longer is cut and ends in "...". Bytes that a terminal or a JSON
 * reader could take for more than text (control characters, line and direction marks of Unicode,
 * broken UTF-8) are written out as escapes. errno is kept. A line that standard error does not take
 * counts as held back. Cost: two clock reads and one write; nothing below the level.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "config.h"
#include "log.h"

#define LINE_MAX_BYTES PIPE_BUF
#define MESSAGE_MAX 1500
#define TAIL_ROOM 64 /* kept for the mark of a cut line, the count of held lines, the end */

/* a bounded writer */
struct line {
	char *at, *end;
};

static enum log_format format_now = LOG_TEXT;
static enum log_level level_now = LOG_INFO;
static uint64_t held_total;

static const char *const level_names[] = {
    [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

void log_setup(int format, enum log_level level)
{
	format_now = format;
	level_now = level;
}

uint64_t log_held_back(void)
{
	return held_total;
}

/* The bytes of the UTF-8 character at s and its code; 0 if there is none. */
static unsigned utf8_decode(const unsigned char *s, uint32_t *ret_code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	uint32_t code = n == 1 ? s[0] : s[0] & (0x7f >> n);

	if (n == 0 || s[0] > 0xf4)
		return 0;
	for (unsigned i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret_code = code;
	return n;
}

static bool is_unsafe(uint32_t code)
{
	static const uint32_t ranges[][2] = {
	    {0x00, 0x1f}, {0x7f, 0x9f}, {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069}};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (code >= ranges[i][0] && code <= ranges[i][1])
			return true;
	return false;
}

/* One character as it is written: at most 12 bytes. Returns how many bytes of s it stood for. */
static unsigned escape(const unsigned char *s, bool json, char ret[16])
{
	static const char plain[] = "\n\t\r", letters[] = "ntr";
	uint32_t code = 0;
	unsigned n = utf8_decode(s, &code);
	const char *p;

	if (n == 0) {
		snprintf(ret, 16, json ? "\\ufffd" : "\\x%02x", s[0]);
		return 1;
	}
	p = code ? strchr(plain, (int)(code < 0x80 ? code : 0x7f)) : NULL;
	if (p && *p)
		snprintf(ret, 16, "\\%c", letters[p - plain]);
	else if (json && (code == '"' || code == '\\'))
		snprintf(ret, 16, "\\%c", (char)code);
	else if (is_unsafe(code))
		snprintf(ret, 16, json || code > 0xff ? "\\u%04x" : "\\x%02x", code);
	else
		snprintf(ret, 16, "%.*s", (int)n, (const char *)s);
	return n;
}

static void put_raw(struct line *l, const char *s)
{
	size_t n = strlen(s), room = l->end - l->at;

	n = n < room ? n : room;
	memcpy(l->at, s, n);
	l->at += n;
}

static void put_escaped(struct line *l, const char *s, size_t reserve)
{
	char piece[16];

	while (*s) {
		s += escape((const unsigned char *)s, format_now == LOG_JSON, piece);
		if ((size_t)(l->end - l->at) < strlen(piece) + reserve) {
			put_raw(l, "...");
			return;
		}
		put_raw(l, piece);
	}
}

static void put_time(struct line *l)
{
	char text[64];
	struct timespec ts;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ", tm.tm_year + 1900,
		 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, ts.tv_nsec / 1000000);
	put_raw(l, text);
}

/* Whether this line may be written now; counts it either way. */
static bool pass(struct log_site *site)
{
	struct timespec ts;
	uint64_t now_s;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now_s = ts.tv_sec;
	if (now_s - site->window_s >= LOG_WINDOW_S) {
		site->window_s = now_s;
		site->lines = 0;
	}
	if (site->lines < LOG_BURST) {
		site->lines++;
		return true;
	}
	site->held++;
	held_total++;
	return false;
}

static void put_line(struct line *l, enum log_level level, const char *area, const char *message,
		     uint32_t held)
{
	bool json = format_now == LOG_JSON;
	char text[48] = "";

	put_raw(l, json ? "{\"time\":\"" : "");
	put_time(l);
	put_raw(l, json ? "\",\"level\":\"" : " ");
	put_raw(l, level_names[level]);
	if (!json)
		put_raw(l, &"     "[strlen(level_names[level])]);
	put_raw(l, json ? "\",\"area\":\"" : " ");
	put_escaped(l, area, LINE_MAX_BYTES / 2);
	put_raw(l, json ? "\",\"message\":\"" : ": ");
	put_escaped(l, message, TAIL_ROOM);
	if (held)
		snprintf(text, sizeof(text), " (%u more like it held back)", held);
	put_raw(l, text);
	put_raw(l, json ? "\"}\n" : "\n");
}

void log_write(struct log_site *site, enum log_level level, const char *area, const char *format,
	       ...)
{
	char message[MESSAGE_MAX], bytes[LINE_MAX_BYTES];
	struct line l = {bytes, bytes + sizeof(bytes)};
	int n, saved = errno;
	ssize_t written;
	va_list args;

	if (level > level_now || !pass(site))
		goto out;
	errno = saved; /* for %m */
	va_start(args, format);
	n = vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (n < 0)
		snprintf(message, sizeof(message), "%s", format);
	else if ((size_t)n >= sizeof(message))
		memcpy(message + sizeof(message) - 4, "...", 4);
	put_line(&l, level, area, message, site->held);
	do
		written = write(STDERR_FILENO, bytes, l.at - bytes);
	while (written < 0 && errno == EINTR);
	if (written < 0) {
		site->held++;
		held_total++;
	} else {
		site->held = 0;
	}
out:
	errno = saved;
}
