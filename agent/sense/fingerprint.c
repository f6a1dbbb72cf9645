/* fingerprint.c - statements without their literals, put together from their tokens: see
 * fingerprint.h. */
#include "sense/fingerprint.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>
#include "sense/sql.h"

#define MORE "..."
#define TEXT_MAX (FINGERPRINT_MAX - sizeof(MORE) - 1) /* leaves room for it and a space */

struct text {
	char *to;
	size_t n;
	bool space; /* one comes before the next token */
	bool full;
	bool listed; /* the rest is one of a list's elements, and so not missed */
	char sign;   /* one that may belong to a literal; NUL: none */
	struct sql_token before;
};

static bool is_one_of(struct sql_token t, const char *const *words)
{
	if (t.kind != SQL_WORD)
		return false;
	for (; *words; words++)
		if (strlen(*words) == t.bytes && strncasecmp(*words, t.at, t.bytes) == 0)
			return true;
	return false;
}

static void put(struct text *x, const char *bytes, size_t n)
{
	bool space = x->space && x->n;

	x->full = x->full || x->n + space + n > TEXT_MAX;
	if (x->full)
		return;
	if (space)
		x->to[x->n++] = ' ';
	memcpy(x->to + x->n, bytes, n);
	x->n += n;
	x->space = false;
}

static void put_sign(struct text *x)
{
	if (x->sign)
		put(x, &x->sign, 1);
	x->sign = '\0';
}

/* Passes over what is behind an opening bracket, with the closing one. */
static void skip_list(struct sql_scan *s, struct text *x)
{
	int depth = 1;

	while (depth) {
		struct sql_token t = sql_next(s);

		if (t.kind == SQL_END) {
			x->listed = true;
			return;
		}
		if (sql_is_sign(t, '(') || sql_is_sign(t, '['))
			depth++;
		if (sql_is_sign(t, ')') || sql_is_sign(t, ']'))
			depth--;
	}
}

/* Of VALUES (1), (2) the rest. */
static void skip_lists(struct sql_scan *s, struct text *x)
{
	for (;;) {
		struct sql_scan ahead = *s;
		struct sql_token t = sql_next_but_space(&ahead);

		if (sql_is_sign(t, ','))
			t = sql_next_but_space(&ahead);
		x->listed = t.kind == SQL_END && s->cut;
		if (!sql_is_sign(t, '('))
			return;
		*s = ahead;
		skip_list(s, x);
	}
}

/* An opening bracket behind a word that makes it one of a list. */
static bool put_list(struct sql_scan *s, struct text *x, struct sql_token open)
{
	static const char *const in[] = {"in", NULL}, *const values[] = {"values", NULL},
				 *const array[] = {"array", NULL};
	static const char *const queries[] = {"select", "with", "values", "table", NULL};
	struct sql_scan ahead = *s;

	if (sql_is_sign(open, '[') && is_one_of(x->before, array)) {
		put(x, "[...]", 5);
		skip_list(s, x);
		return true;
	}
	if (!sql_is_sign(open, '('))
		return false;
	if (is_one_of(x->before, in) && !is_one_of(sql_next_but_space(&ahead), queries)) {
		put(x, "(...)", 5);
		skip_list(s, x);
		return true;
	}
	if (!is_one_of(x->before, values))
		return false;
	put(x, "(...)", 5);
	skip_list(s, x);
	skip_lists(s, x);
	return true;
}

/* Whether a plus or minus here belongs to the number behind it. */
static bool is_unary(const struct text *x, struct sql_token t)
{
	if (!sql_is_sign(t, '-') && !sql_is_sign(t, '+'))
		return false;
	return x->before.kind == SQL_SIGN && *x->before.at != ')' && *x->before.at != ']' &&
	       !x->sign;
}

static void put_token(struct sql_scan *s, struct text *x, struct sql_token t)
{
	if (t.kind == SQL_LITERAL) {
		/* strings that follow each other are one */
		if (x->before.kind != SQL_LITERAL)
			put(x, "?", 1);
		x->space = false;
		x->sign = '\0';
	} else if (is_unary(x, t)) {
		x->sign = *t.at;
	} else {
		put_sign(x);
		if (!put_list(s, x, t))
			put(x, t.at, t.bytes);
	}
	x->before = t;
}

/* The bytes of the UTF-8 character at p; 0: it is none, or a control. */
static size_t utf8(const unsigned char *p, size_t left)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	uint32_t code = p[0] & (0xff >> (n + 1));

	if (n == 1)
		return p[0] >= ' ' && p[0] != 0x7f;
	if (p[0] < 0xc2 || p[0] > 0xf4 || left < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	/* shorter forms, controls, surrogates, beyond the last one */
	if (code < (n == 4   ? 0x10000U
		    : n == 3 ? 0x800U
			     : 0xa0U) ||
	    code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	return n;
}

static size_t finish(struct text *x, bool goes_on)
{
	size_t i = 0, n;

	while (!goes_on && x->n && (x->to[x->n - 1] == ';' || x->to[x->n - 1] == ' '))
		x->n--;
	if (goes_on) {
		if (x->space && x->n)
			x->to[x->n++] = ' ';
		memcpy(x->to + x->n, MORE, sizeof(MORE) - 1);
		x->n += sizeof(MORE) - 1;
	}
	x->to[x->n] = '\0';
	while (i < x->n) {
		n = utf8((const unsigned char *)x->to + i, x->n - i);
		if (!n)
			x->to[i] = '?';
		i += n ? n : 1;
	}
	return x->n;
}

size_t fingerprint(const char *text, size_t bytes, bool cut, char ret[FINGERPRINT_MAX])
{
	struct sql_scan s = {.at = text, .end = text + bytes, .cut = cut};
	struct text x = {.to = ret, .before = {.kind = SQL_SIGN, .at = "("}};
	struct sql_token t;

	while (!x.full && !x.listed && (t = sql_next(&s)).kind != SQL_END) {
		if (t.kind != SQL_SPACE)
			put_token(&s, &x, t);
		else if (!x.sign)
			x.space = true;
	}
	put_sign(&x);
	return finish(&x, x.full || (!x.listed && (cut || s.lost)));
}
