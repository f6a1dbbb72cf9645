/* glob.c - see glob.h for the contract. */
#define _GNU_SOURCE /* strchrnul */
#include <string.h>
#include "serve/glob.h"

/* One pattern, [pattern, end). Only the last star is ever tried again, so this is quadratic. */
static bool match_one(const char *pattern, const char *end, const char *name)
{
	const char *star = NULL, *retry = NULL;

	while (*name) {
		if (pattern < end && *pattern == '*') {
			star = pattern++;
			retry = name;
		} else if (pattern < end && (*pattern == '?' || *pattern == *name)) {
			pattern++;
			name++;
		} else if (star) {
			pattern = star + 1;
			name = ++retry;
		} else {
			return false;
		}
	}
	while (pattern < end && *pattern == '*')
		pattern++;
	return pattern == end;
}

bool glob_match(const char *patterns, const char *name)
{
	for (const char *p = patterns;; p++) {
		const char *end = strchrnul(p, ',');

		if (match_one(p, end, name))
			return true;
		if (!*end)
			return false;
		p = end;
	}
}
