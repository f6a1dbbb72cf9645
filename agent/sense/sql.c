/* sql.c - the tokens of a statement: see sql.h. */
#include "sense/sql.h"

#include <string.h>

static bool is_space(char c)
{
	return (unsigned char)c <= ' ' || c == 0x7f;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool begins_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       (unsigned char)c >= 0x80;
}

static bool is_of_tag(char c)
{
	return begins_word(c) || is_digit(c);
}

static char peek(const struct sql_scan *s, size_t i)
{
	return i < (size_t)(s->end - s->at) ? s->at[i] : '\0';
}

/* From the second character of the opening on; comments nest. Where it ends, or the text. */
static const char *end_of_comment(const struct sql_scan *s)
{
	const char *p = s->at + 2;
	int depth = 1;

	if (s->at[0] == '-') {
		while (p < s->end && *p != '\n' && *p != '\r')
			p++;
		return p;
	}
	for (; s->end - p >= 2; p++) {
		if (p[0] == '/' && p[1] == '*') {
			depth++;
			p++;
		} else if (p[0] == '*' && p[1] == '/') {
			p++;
			if (!--depth)
				return p + 1;
		}
	}
	return s->end;
}

/* Passes over white space and comments. False if there was none. */
static bool skip_space(struct sql_scan *s)
{
	const char *from = s->at;

	while (s->at < s->end) {
		char c = s->at[0], next = peek(s, 1);

		if (is_space(c))
			s->at++;
		else if ((c == '-' && next == '-') || (c == '/' && next == '*'))
			s->at = end_of_comment(s);
		else
			break;
	}
	return s->at > from;
}

/* Behind the quote that closes what p is in; NULL: there is none, or it may be another one. */
static const char *end_of_quotes(const struct sql_scan *s, const char *p, char quote, bool escapes)
{
	bool escaped = false;

	for (; p < s->end; p++) {
		if (*p != quote || (escaped && escapes)) {
			escaped = *p == '\\' && !escaped;
			continue;
		}
		if (escaped && quote == '\'')
			return NULL;
		if (p + 1 < s->end && p[1] == quote)
			p++;
		else
			return p + 1;
	}
	return NULL;
}

/* Behind the second tag of a dollar-quoted string; NULL: there is none. */
static const char *end_of_dollars(const struct sql_scan *s, size_t tag)
{
	const char *p = s->at + tag;

	for (; (size_t)(s->end - p) >= tag; p++)
		if (memcmp(p, s->at, tag) == 0)
			return p + tag;
	return NULL;
}

/* The token ends there, NULL: where is not known. */
static struct sql_token token_to(struct sql_scan *s, enum sql_kind kind, const char *to)
{
	struct sql_token t = {.kind = to ? kind : SQL_END, .at = s->at};

	s->lost = s->lost || !to;
	t.bytes = to ? (size_t)(to - s->at) : 0;
	s->at = to ? to : s->end;
	return t;
}

/* A word, or a string or quoted name that begins like one: E'', U&''. */
static struct sql_token word(struct sql_scan *s)
{
	const char *p = s->at;
	size_t n;

	while (p < s->end && (is_of_tag(*p) || *p == '$'))
		p++;
	n = (size_t)(p - s->at);
	if (p == s->end && s->cut) /* it may be more than a word */
		return token_to(s, SQL_WORD, NULL);
	if (n == 1 && p < s->end && *p == '\'' && strchr("eEbBxXnN", s->at[0]))
		return token_to(s, SQL_LITERAL,
				end_of_quotes(s, p + 1, '\'', strchr("eE", s->at[0])));
	if (n == 1 && s->end - p >= 2 && *p == '&' && strchr("uU", s->at[0])) {
		if (p[1] == '\'')
			return token_to(s, SQL_LITERAL, end_of_quotes(s, p + 2, '\'', false));
		if (p[1] == '"')
			return token_to(s, SQL_QUOTED, end_of_quotes(s, p + 2, '"', false));
	}
	return token_to(s, SQL_WORD, p);
}

static struct sql_token number(struct sql_scan *s)
{
	const char *p = s->at;

	while (p < s->end &&
	       (is_of_tag(*p) || *p == '.' || ((*p == '-' || *p == '+') && (p[-1] | 0x20) == 'e')))
		p++;
	return token_to(s, SQL_LITERAL, p);
}

/* $1, $$...$$, $tag$...$tag$, or just the sign. */
static struct sql_token dollar(struct sql_scan *s)
{
	const char *p = s->at + 1;

	if (is_digit(peek(s, 1))) {
		while (p < s->end && is_digit(*p))
			p++;
		return token_to(s, SQL_LITERAL, p);
	}
	while (p < s->end && is_of_tag(*p))
		p++;
	if (p == s->end)
		return token_to(s, SQL_LITERAL, NULL);
	if (*p != '$')
		return token_to(s, SQL_SIGN, s->at + 1);
	return token_to(s, SQL_LITERAL, end_of_dollars(s, (size_t)(p + 1 - s->at)));
}

struct sql_token sql_next(struct sql_scan *s)
{
	const char *from = s->at;
	char c = peek(s, 0);

	if (skip_space(s))
		return (struct sql_token){.kind = SQL_SPACE, .at = from};
	if (s->at == s->end)
		return (struct sql_token){.kind = SQL_END};
	if (begins_word(c))
		return word(s);
	if (is_digit(c) || (c == '.' && is_digit(peek(s, 1))))
		return number(s);
	if (c == '\'')
		return token_to(s, SQL_LITERAL, end_of_quotes(s, s->at + 1, '\'', false));
	if (c == '"')
		return token_to(s, SQL_QUOTED, end_of_quotes(s, s->at + 1, '"', false));
	if (c == '$')
		return dollar(s);
	return token_to(s, SQL_SIGN, s->at + 1);
}

struct sql_token sql_next_but_space(struct sql_scan *s)
{
	struct sql_token t = sql_next(s);

	return t.kind == SQL_SPACE ? sql_next(s) : t;
}

bool sql_is_sign(struct sql_token t, char c)
{
	return t.kind == SQL_SIGN && *t.at == c;
}
