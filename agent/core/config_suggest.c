/* config_suggest.c - what a misspelt option may have meant.
 *
 * Names longer than CONFIG_NAME_MAX get no suggestion, so a comparison is at most 64 x 64 steps and
 * a suggestion as many of those as there are options.
 */
#include <limits.h>
#include <string.h>
#include "config_private.h"

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t config_suggest_distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b);
	unsigned char row[3][CONFIG_NAME_MAX + 1]; /* the last three rows of the matrix */

	if (la > CONFIG_NAME_MAX || lb > CONFIG_NAME_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		unsigned char *now = row[i % 3], *up = row[(i - 1) % 3], *up2 = row[(i + 1) % 3];

		now[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t d = up[j - 1] + (a[i - 1] != b[j - 1]);

			d = least(d, least(up[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d = least(d, up2[j - 2] + 1);
			now[j] = d;
		}
	}
	return row[la % 3][lb];
}

bool config_suggest_near(size_t distance, size_t length)
{
	return distance <= (length / 4 > 2 ? length / 4 : 2) && distance < length;
}

/* the key alone was right, but stands in no section or in another one than its own */
static const struct config_option *find_misplaced(const char *name)
{
	const char *dot = strchr(name, '.'), *key = dot ? dot + 1 : name;
	const struct config_option *found = NULL;

	for (size_t i = 0; i < config_options_n; i++) {
		if (strcmp(config_options[i].key, key) != 0)
			continue;
		if (found)
			return NULL;
		found = &config_options[i];
	}
	return found;
}

static bool full_name(const struct config_option *o, bool whole, char ret[CONFIG_NAME_MAX])
{
	int n = snprintf(ret, CONFIG_NAME_MAX, "%s%s%s", o->section, whole ? "." : "",
			 whole ? o->key : "");

	return n < CONFIG_NAME_MAX;
}

/* the nearest option (of a name with a dot) or section; false if none is near */
static bool find_near(const char *name, char ret[CONFIG_NAME_MAX])
{
	bool whole = strchr(name, '.') != NULL;
	size_t best = SIZE_MAX;
	char candidate[CONFIG_NAME_MAX];

	for (size_t i = 0; i < config_options_n; i++) {
		size_t d;

		if (!full_name(&config_options[i], whole, candidate))
			continue;
		d = config_suggest_distance(name, candidate);
		if (d < best) {
			best = d;
			memcpy(ret, candidate, CONFIG_NAME_MAX);
		}
	}
	return best != SIZE_MAX && config_suggest_near(best, strlen(name));
}

/* all sections, or all keys of the one that is named */
static void list_choices(const char *name, char *ret, size_t ret_size)
{
	const char *dot = strchr(name, '.'), *last = "";
	size_t len = dot ? (size_t)(dot - name) : 0, used;

	used = snprintf(ret, ret_size, dot ? "; this section has" : "; the sections are");
	for (size_t i = 0; i < config_options_n && used < ret_size; i++) {
		const struct config_option *o = &config_options[i];
		const char *word = dot ? o->key : o->section;

		if (dot ? strncmp(o->section, name, len) != 0 || o->section[len] : word == last)
			continue;
		used += snprintf(ret + used, ret_size - used, "%s %s", last[0] ? "," : "", word);
		last = word;
	}
}

void config_suggest(const char *name, char *ret, size_t ret_size)
{
	const struct config_option *misplaced = find_misplaced(name);
	const char *dot = strchr(name, '.');
	char near[CONFIG_NAME_MAX], section[CONFIG_NAME_MAX];

	snprintf(section, sizeof(section), "%.*s", dot ? (int)least(dot - name, INT_MAX) : 0, name);
	if (dot && config_find(section, dot + 1))
		snprintf(ret, ret_size, "; write \"%s:\" and, indented on the next line, \"%s:\"",
			 section, dot + 1);
	else if (misplaced)
		snprintf(ret, ret_size, "; did you mean \"%s.%s\"?", misplaced->section,
			 misplaced->key);
	else if (find_near(name, near))
		snprintf(ret, ret_size, "; did you mean \"%s\"?", near);
	else
		list_choices(name, ret, ret_size);
}
