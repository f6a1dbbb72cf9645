/* pairs.c - see pairs.h for the contract. */
#include <string.h>
#include "serve/pairs.h"

bool pairs_next(const char **at, struct pair *ret)
{
	const char *p = *at, *equals;
	size_t n = 0;

	if (*p == ',')
		p++;
	equals = strchr(p, '=');
	if (!equals || equals == p || equals[1] != '"')
		return false;
	ret->name = p;
	ret->name_bytes = (size_t)(equals - p);
	for (p = equals + 2; *p && *p != '"' && n < sizeof(ret->value); p++) {
		if (*p == '\\' && p[1]) {
			p++;
			ret->value[n++] = *p == 'n' ? '\n' : *p;
		} else {
			ret->value[n++] = *p;
		}
	}
	if (*p != '"')
		return false;
	ret->value_bytes = n;
	*at = p + 1;
	return true;
}
