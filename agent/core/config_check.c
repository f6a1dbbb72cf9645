/* config_check.c - rules of single options beyond their type. Each gives 0, or -EINVAL and one
 * clause of what is wrong and what to do. A secret's rule never repeats the value.
 *
 * Cost: nothing that blocks; no look-up of names, so that they run in a confined process too.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include "config_private.h"

#define USER_MAX 32 /* as useradd allows */
#define TOKEN_MIN 16
#define TOKEN_MAX 64 /* room in struct agent */
#define REGEX_MAX 512
#define REGEX_DEPTH_MAX 16
#define REGEX_NODES_MAX 5000

int config_check_path(const char *text, char *why, size_t why_size)
{
	if (text[0])
		return 0;
	snprintf(why, why_size, "is empty; give a path");
	return -EINVAL;
}

int config_check_user(const char *text, char *why, size_t why_size)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz_", more[] = "0123456789-";
	size_t n = strlen(text), i = 0;

	if (strcmp(text, "root") == 0) {
		snprintf(why, why_size, "must not be root; name an unprivileged user");
		return -EINVAL;
	}
	while (i < n && (strchr(first, text[i]) || (i > 0 && strchr(more, text[i]))))
		i++;
	if (n > 0 && n <= USER_MAX && i == n)
		return 0;
	snprintf(why, why_size, "\"%.40s\" is not a user's name; name one such as \"nobody\"",
		 text);
	return -EINVAL;
}

/* an IPv4 address, or an IPv6 one in brackets, that ends before the last colon */
static bool is_address(const char *text, size_t n)
{
	char copy[INET6_ADDRSTRLEN + 1];
	struct in6_addr address;
	bool brackets = n >= 2 && text[0] == '[' && text[n - 1] == ']';

	if (brackets)
		text++, n -= 2;
	if (n >= sizeof(copy))
		return false;
	memcpy(copy, text, n);
	copy[n] = '\0';
	return inet_pton(brackets ? AF_INET6 : AF_INET, copy, &address) == 1;
}

int config_check_listen(const char *text, char *why, size_t why_size)
{
	const char *colon = strrchr(text, ':');
	size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;

	if (colon && is_address(text, colon - text) && digits >= 1 && digits <= 5 &&
	    colon[1 + digits] == '\0' && atoi(colon + 1) <= 65535)
		return 0;
	snprintf(why, why_size,
		 "\"%.60s\" is not an address and port; write 127.0.0.1:8000, [::1]:8000, or "
		 "0.0.0.0:8000 for every address",
		 text);
	return -EINVAL;
}

int config_check_token(const char *text, char *why, size_t why_size)
{
	size_t n = strlen(text), i = 0;

	/* what an Authorization header may hold: RFC 6750, b64token */
	while (i < n && (isalnum((unsigned char)text[i]) || strchr("-._~+/=", text[i])))
		i++;
	if (n == 0 || (i == n && n >= TOKEN_MIN && n <= TOKEN_MAX))
		return 0;
	snprintf(why, why_size,
		 "is not a token (value not shown); give %d to %d letters, digits or -._~+/=, or "
		 "leave it out to have one made",
		 TOKEN_MIN, TOKEN_MAX);
	return -EINVAL;
}

/* past the bracket expression that starts at p */
static const char *skip_bracket(const char *p)
{
	p++;
	if (*p == '^')
		p++;
	if (*p == ']')
		p++;
	while (*p && *p != ']') {
		char kind = p[1];

		if (*p == '[' && (kind == ':' || kind == '.' || kind == '=')) {
			for (p += 2; *p && !(p[0] == kind && p[1] == ']'); p++)
				;
			if (!*p)
				return p;
			p++;
		}
		p++;
	}
	return *p ? p + 1 : p;
}

/* How often regcomp() copies what stands before a repeat operator; 0: *p is none. */
static unsigned repeat_copies(const char **p)
{
	unsigned from, to;
	char *end;

	if (**p == '*' || **p == '?' || **p == '+')
		return *(*p)++ == '+' ? 2 : 1;
	if (**p != '{' || !(isdigit((unsigned char)(*p)[1]) || (*p)[1] == ','))
		return 0;
	from = to = strtoul(*p + 1, &end, 10);
	if (*end == ',')
		to = strtoul(end + 1, &end, 10);
	*p = *end == '}' ? end + 1 : end;
	from = from >= to ? from + 1 : to;
	return from > REGEX_NODES_MAX ? REGEX_NODES_MAX + 1 : from;
}

/* Nodes that regcomp() makes of a pattern, as an upper bound: it writes repeats out, so that
 * "((a{99}){99}){99}" takes a million. -EINVAL: too many, too deep, or a back-reference, which
 * makes a match take exponential time. */
static int regex_nodes(const char *p)
{
	struct {
		unsigned done, last; /* nodes before the last atom, and of it */
	} levels[REGEX_DEPTH_MAX + 1] = {{0, 0}}, *level = levels;

	while (*p) {
		unsigned copies = repeat_copies(&p), atom = 1;

		if (copies > 0) {
			level->last = (level->last ? level->last : 1) * copies;
		} else {
			if (*p == '(') {
				level->done += level->last;
				if (level++ == &levels[REGEX_DEPTH_MAX])
					return -EINVAL;
				memset(level, 0, sizeof(*level));
				p++;
				continue;
			}
			if (*p == ')' && level > levels) {
				atom = level->done + level->last + 1;
				level--;
			} else {
				level->done += level->last;
			}
			if (*p == '\\' && isdigit((unsigned char)p[1]))
				return -EINVAL;
			level->last = atom;
			p = *p == '[' ? skip_bracket(p) : p + (p[0] == '\\' && p[1] ? 2 : 1);
		}
		if (level->done + level->last > REGEX_NODES_MAX)
			return -EINVAL;
	}
	return 0;
}

int config_check_regex(const char *text, char *why, size_t why_size)
{
	regex_t regex;
	char reason[80];
	int r;

	if (strlen(text) > REGEX_MAX || regex_nodes(text) < 0) {
		snprintf(
		    why, why_size,
		    "is too large a regular expression; at most %d bytes, %d nested groups, no "
		    "large repeats and no back-references",
		    REGEX_MAX, REGEX_DEPTH_MAX);
		return -EINVAL;
	}
	r = regcomp(&regex, text, REG_EXTENDED | REG_NOSUB);
	if (r == 0) {
		regfree(&regex);
		return 0;
	}
	regerror(r, &regex, reason, sizeof(reason));
	snprintf(why, why_size, "\"%.60s\" is not a POSIX extended regular expression: %s", text,
		 reason);
	return -EINVAL;
}
