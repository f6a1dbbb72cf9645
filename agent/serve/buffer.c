/* buffer.c - see buffer.h for the contract. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "serve/buffer.h"

#define BUFFER_FIRST_BYTES 4096

void buffer_free(struct buffer *b)
{
	free(b->data);
	*b = (struct buffer){0};
}

void buffer_clear(struct buffer *b)
{
	b->len = 0;
	b->failed = false;
}

char *buffer_grow(struct buffer *b, size_t n)
{
	size_t room = b->room ? b->room : BUFFER_FIRST_BYTES;
	char *data;

	if (b->failed || n > BUFFER_MAX_BYTES || b->len + n > BUFFER_MAX_BYTES) {
		b->failed = true;
		return NULL;
	}
	while (room < b->len + n)
		room *= 2;
	data = realloc(b->data, room);
	if (!data) {
		b->failed = true;
		return NULL;
	}
	b->data = data;
	b->room = room;
	return data + b->len;
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
	va_list args, again;
	char *to;
	int n;

	va_start(args, format);
	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, args);
	to = n >= 0 ? buffer_reserve(b, (size_t)n + 1) : NULL;
	if (to) {
		vsnprintf(to, (size_t)n + 1, format, again);
		b->len += (size_t)n;
	}
	va_end(again);
	va_end(args);
}

/* --- numbers */

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324"
				  "25262728293031323334353637383940414243444546474849"
				  "50515253545556575859606162636465666768697071727374"
				  "75767778798081828384858687888990919293949596979899";

/* Writes value so that it ends at `end`; returns its first character. */
static char *digits_before(char *end, uint64_t value)
{
	while (value >= 100) {
		end -= 2;
		memcpy(end, digit_pairs + 2 * (value % 100), 2);
		value /= 100;
	}
	if (value >= 10) {
		end -= 2;
		memcpy(end, digit_pairs + 2 * value, 2);
	} else {
		*--end = (char)('0' + value);
	}
	return end;
}

void buffer_u64(struct buffer *b, uint64_t value)
{
	char text[20];
	char *from = digits_before(text + sizeof(text), value);

	buffer_put(b, from, (size_t)(text + sizeof(text) - from));
}

/* whole.billionths, without trailing zeros */
static void put_billionths(struct buffer *b, uint64_t whole, uint64_t billionths)
{
	char text[10] = ".000000000";
	size_t n = sizeof(text);

	buffer_u64(b, whole);
	if (!billionths)
		return;
	digits_before(text + sizeof(text), billionths);
	while (text[n - 1] == '0')
		n--;
	buffer_put(b, text, n);
}

void buffer_seconds(struct buffer *b, uint64_t ns)
{
	put_billionths(b, ns / 1000000000, ns % 1000000000);
}

void buffer_double(struct buffer *b, double value)
{
	double size = fabs(value), scaled;
	char text[32];

	if (isnan(value)) {
		buffer_puts(b, "NaN");
		return;
	}
	if (isinf(value)) {
		buffer_puts(b, value > 0 ? "+Inf" : "-Inf");
		return;
	}
	if (signbit(value) && size > 0)
		buffer_char(b, '-');
	if (size < 0x1p53 && size == (double)(uint64_t)size) {
		buffer_u64(b, (uint64_t)size);
		return;
	}
	/* Any decimal of up to 15 digits is the shortest text of its double; dividing by 10^9,
	 * which is exact as a double, rounds as strtod() does. */
	scaled = nearbyint(size * 1e9);
	if (size >= 1e-4 && scaled < 1e15 && scaled / 1e9 == size) {
		put_billionths(b, (uint64_t)scaled / 1000000000, (uint64_t)scaled % 1000000000);
		return;
	}
	for (int precision = 15; precision <= 17; precision++) {
		snprintf(text, sizeof(text), "%.*g", precision, size);
		if (strtod(text, NULL) == size)
			break;
	}
	buffer_puts(b, text);
}

void buffer_json_double(struct buffer *b, double value)
{
	if (isfinite(value))
		buffer_double(b, value);
	else
		buffer_puts(b, "null");
}

/* --- text */

/* Length of the valid UTF-8 sequence at text, 0 if it is not one (RFC 3629: no surrogates, nothing
 * overlong, at most U+10FFFF). */
static size_t utf8_length(const unsigned char *text, size_t n)
{
	unsigned char c = text[0], low = 0x80, high = 0xbf;
	size_t want;

	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	want = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	if (c == 0xe0)
		low = 0xa0;
	else if (c == 0xed)
		high = 0x9f;
	else if (c == 0xf0)
		low = 0x90;
	else if (c == 0xf4)
		high = 0x8f;
	if (want > n || text[1] < low || text[1] > high)
		return 0;
	for (size_t i = 2; i < want; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	return want;
}

/* How many bytes from text on need no care in JSON. */
static size_t plain_run(const unsigned char *text, size_t n)
{
	size_t i = 0;

	while (i < n && text[i] >= 0x20 && text[i] < 0x80 && text[i] != '"' && text[i] != '\\')
		i++;
	return i;
}

/* Writes one character that needs care; returns how many bytes it took. */
static size_t put_special(struct buffer *b, const unsigned char *at, size_t n)
{
	size_t bytes = utf8_length(at, n);

	if (!bytes)
		buffer_puts(b, "\xef\xbf\xbd");
	else if (*at >= 0x80)
		buffer_put(b, at, bytes);
	else if (*at < 0x20)
		buffer_printf(b, "\\u%04x", *at);
	else
		buffer_put(b, (const char[]){'\\', (char)*at}, 2);
	return bytes ? bytes : 1;
}

void buffer_json_string(struct buffer *b, const char *text, size_t n)
{
	const unsigned char *at = (const unsigned char *)text, *end = at + n;

	buffer_char(b, '"');
	while (at < end) {
		size_t run = plain_run(at, (size_t)(end - at));

		buffer_put(b, at, run);
		at += run;
		if (at < end)
			at += put_special(b, at, (size_t)(end - at));
	}
	buffer_char(b, '"');
}
