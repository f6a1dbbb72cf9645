/* host_text.c - see host_text.h. */
#include "host_text.h"

#include <string.h>

#define DECIMAL_MAX 1e18

struct host_text host_text_of(const char *string)
{
	return (struct host_text){.at = string, .end = string + strlen(string)};
}

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

static const char *after_blanks(const struct host_text *t)
{
	const char *at = t->at;

	while (at < t->end && blank(*at))
		at++;
	return at;
}

static bool ends_word(const char *at, const char *end)
{
	return at == end || blank(*at) || *at == '\n';
}

bool host_text_line(struct host_text *t, struct host_text *ret_line)
{
	const char *newline;

	if (t->at >= t->end)
		return false;
	newline = memchr(t->at, '\n', (size_t)(t->end - t->at));
	*ret_line = (struct host_text){.at = t->at, .end = newline ? newline : t->end};
	t->at = newline ? newline + 1 : t->end;
	return true;
}

bool host_text_word(struct host_text *t, struct host_text *ret_word)
{
	const char *from = after_blanks(t), *to = from;

	while (!ends_word(to, t->end))
		to++;
	if (to == from)
		return false;
	*ret_word = (struct host_text){.at = from, .end = to};
	t->at = to;
	return true;
}

bool host_text_until(struct host_text *t, char stop, struct host_text *ret)
{
	const char *from = after_blanks(t);
	const char *to = from < t->end ? memchr(from, stop, (size_t)(t->end - from)) : NULL;

	if (!to)
		return false;
	*ret = (struct host_text){.at = from, .end = to};
	t->at = to + 1;
	return true;
}

static int digit(char c, unsigned base)
{
	int value = 99;

	if (c >= '0' && c <= '9')
		value = c - '0';
	else if (c >= 'a' && c <= 'f')
		value = c - 'a' + 10;
	else if (c >= 'A' && c <= 'F')
		value = c - 'A' + 10;
	return value < (int)base ? value : -1;
}

static bool number(struct host_text *t, unsigned base, uint64_t *ret)
{
	const char *at = after_blanks(t), *from = at;
	uint64_t value = 0;
	bool full = false;
	int d;

	for (; at < t->end && (d = digit(*at, base)) >= 0; at++)
		full = full || __builtin_mul_overflow(value, base, &value) ||
		       __builtin_add_overflow(value, (uint64_t)d, &value);
	if (at == from || !ends_word(at, t->end))
		return false;
	*ret = full ? UINT64_MAX : value;
	t->at = at;
	return true;
}

bool host_text_u64(struct host_text *t, uint64_t *ret)
{
	return number(t, 10, ret);
}

bool host_text_hex(struct host_text *t, uint64_t *ret)
{
	return number(t, 16, ret);
}

bool host_text_decimal(struct host_text *t, double *ret)
{
	const char *at = after_blanks(t), *from;
	bool negative = at < t->end && *at == '-';
	double value = 0, unit = 1;

	at += negative;
	for (from = at; at < t->end && digit(*at, 10) >= 0; at++)
		value = value < DECIMAL_MAX ? value * 10 + digit(*at, 10) : value;
	if (at == from)
		return false;
	if (at < t->end && *at == '.')
		for (at++; at < t->end && digit(*at, 10) >= 0; at++)
			value += digit(*at, 10) * (unit /= 10);
	if (!ends_word(at, t->end))
		return false;
	*ret = negative ? -value : value;
	t->at = at;
	return true;
}

bool host_text_skip(struct host_text *t, unsigned words)
{
	struct host_text rest = *t, word;

	while (words--)
		if (!host_text_word(&rest, &word))
			return false;
	*t = rest;
	return true;
}

bool host_text_is(struct host_text t, const char *string)
{
	size_t n = strlen(string);

	return (size_t)(t.end - t.at) == n && memcmp(t.at, string, n) == 0;
}

bool host_text_prefix(struct host_text *t, const char *prefix)
{
	size_t n = strlen(prefix);

	if ((size_t)(t->end - t->at) < n || memcmp(t->at, prefix, n) != 0)
		return false;
	t->at += n;
	return true;
}

/* bytes of the UTF-8 character at `at`, at most 4; 0 if there is none. Refuses surrogates, overlong
 * forms and what lies above U+10FFFF, as Prometheus does. */
static size_t utf8_length(const unsigned char *at, size_t room)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = at[0] < 0x80	      ? 1
		   : at[0] >> 5 == 6  ? 2
		   : at[0] >> 4 == 14 ? 3
		   : at[0] >> 3 == 30 ? 4
				      : 0;
	uint32_t c;

	if (n <= 1)
		return n;
	if (n > room)
		return 0;
	c = at[0] & (0x7f >> n);
	for (size_t i = 1; i < n; i++) {
		if (at[i] >> 6 != 2)
			return 0;
		c = c << 6 | (at[i] & 0x3f);
	}
	return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

void host_text_copy(struct host_text t, char *ret, size_t size)
{
	size_t used = 0;

	while (t.at < t.end && used + 1 < size) {
		size_t n = utf8_length((const unsigned char *)t.at, (size_t)(t.end - t.at));

		if (used + n + 1 > size)
			break;
		if (n == 0 || (n == 1 && ((unsigned char)*t.at < 0x20 || *t.at == 0x7f))) {
			ret[used++] = '?';
			t.at++;
			continue;
		}
		memcpy(ret + used, t.at, n);
		used += n;
		t.at += n;
	}
	ret[used] = 0;
}
