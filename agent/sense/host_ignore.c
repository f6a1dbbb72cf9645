/* host_ignore.c - host.ignore_mounts and host.ignore_devices: which names are left out.
 *
 * Purpose: a regular expression costs microseconds a name, and the names are the same at each tick:
 * so the verdicts on the last ones are kept. Bounds: HOST_VERDICTS of them, placed by hash, each
 * replaced by the next name that falls on it. Cost: 20 ns a known name.
 */
#include "host.h"

#include <stdlib.h>
#include <string.h>

void host_ignore_free(struct host_ignore *ignore)
{
	if (ignore->text)
		regfree(&ignore->regex);
	free(ignore->text);
	ignore->text = NULL;
}

void host_ignore_update(struct host_ignore *ignore, const char *pattern)
{
	bool none = !pattern || !*pattern;

	if (ignore->generation &&
	    (none ? !ignore->text : ignore->text && strcmp(ignore->text, pattern) == 0))
		return;
	host_ignore_free(ignore);
	ignore->generation++;
	if (none || regcomp(&ignore->regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return; /* the configuration has refused what does not compile */
	ignore->text = strdup(pattern);
	if (!ignore->text)
		regfree(&ignore->regex);
}

bool host_ignored(struct host_ignore *ignore, const char *name)
{
	uint32_t hash = 2166136261U;
	struct host_verdict *v;
	bool ignored;

	if (!ignore->text)
		return false;
	for (const char *at = name; *at; at++)
		hash = (hash ^ (unsigned char)*at) * 16777619U;
	v = &ignore->verdict[hash % HOST_VERDICTS];
	if (v->generation == ignore->generation && strcmp(v->name, name) == 0)
		return v->ignored;
	ignored = regexec(&ignore->regex, name, 0, NULL, 0) == 0;
	if (strlen(name) < sizeof(v->name)) {
		strcpy(v->name, name);
		v->generation = ignore->generation;
		v->ignored = ignored;
	}
	return ignored;
}
