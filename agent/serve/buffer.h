/* buffer.h - text and bytes in one growing block, for answers of up to BUFFER_MAX_BYTES.
 *
 * A write that finds no room (out of memory, or over the bound) sets `failed`, which sticks, and
 * changes nothing else: check it once, at the end. Growth doubles, so a byte costs O(1); numbers
 * are formatted by hand, 10 to 30 ns each, because a scrape writes thousands.
 */
#ifndef TRIMTAB_BUFFER_H
#define TRIMTAB_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BUFFER_MAX_BYTES (64UL << 20)

struct buffer {
	char *data; /* owned; not ended by a NUL */
	size_t len, room;
	bool failed;
};

void buffer_free(struct buffer *b);  /* leaves an empty buffer */
void buffer_clear(struct buffer *b); /* keeps the memory */

/* Room for n more bytes at the end, NULL if there is none; the caller adds what it used to len. */
char *buffer_grow(struct buffer *b, size_t n);

static inline char *buffer_reserve(struct buffer *b, size_t n)
{
	return b->room - b->len >= n ? b->data + b->len : buffer_grow(b, n);
}

static inline void buffer_put(struct buffer *b, const void *data, size_t n)
{
	char *to = buffer_reserve(b, n);

	if (to && n) {
		memcpy(to, data, n);
		b->len += n;
	}
}

static inline void buffer_puts(struct buffer *b, const char *text)
{
	buffer_put(b, text, strlen(text));
}

static inline void buffer_char(struct buffer *b, char c)
{
	buffer_put(b, &c, 1);
}

__attribute__((format(printf, 2, 3))) void buffer_printf(struct buffer *b, const char *format, ...);

void buffer_u64(struct buffer *b, uint64_t value);
/* Nanoseconds as seconds, exactly: 1500000000 is 1.5 */
void buffer_seconds(struct buffer *b, uint64_t ns);
/* The shortest text that reads back as the same double; whole numbers without a point; NaN, +Inf
 * and -Inf as Prometheus writes them. */
void buffer_double(struct buffer *b, double value);
/* The same for JSON, which has no NaN and no infinity: null. */
void buffer_json_double(struct buffer *b, double value);
/* A JSON string with its quotes; invalid UTF-8 becomes U+FFFD. */
void buffer_json_string(struct buffer *b, const char *text, size_t n);

#endif
