/* top_view_read.c - a view from the API's answers; see top_view.h for the contract. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include "client/client.h"
#include "client/format.h"
#include "client/top_view_private.h"

#define PROBE "request" /* and PROBE_...: the same by other hooks */

static const char *string_of(const cJSON *item, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, key));

	return text ? text : "";
}

static double number_of(const cJSON *item, const char *key)
{
	const cJSON *number = cJSON_GetObjectItemCaseSensitive(item, key);

	return cJSON_IsNumber(number) ? number->valuedouble : NAN;
}

static void take_text(const char *text, char *ret, size_t size)
{
	snprintf(ret, size, "%s", text);
	client_plain(ret);
}

/* Adds to a list in words; what has no room is left out. */
__attribute__((format(printf, 2, 3))) static void note(char text[TOP_NOTE_MAX], const char *format,
						       ...)
{
	size_t n = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + n, TOP_NOTE_MAX - n, format, args);
	va_end(args);
	client_plain(text);
}

static void read_row(const cJSON *item, struct top_row *ret)
{
	take_text(string_of(item, top_view_columns[SERVICE].key), ret->name, sizeof(ret->name));
	take_text(string_of(item, top_view_columns[PROTOCOL].key), ret->protocol,
		  sizeof(ret->protocol));
	take_text(string_of(item, top_view_columns[DIRECTION].key), ret->direction,
		  sizeof(ret->direction));
	for (int i = 0; i < TOP_VALUES; i++)
		ret->value[i] = number_of(item, top_view_columns[FIRST_VALUE + i].key);
}

static void read_unseen(const cJSON *unseen, char ret[TOP_NOTE_MAX])
{
	char bytes[FORMAT_MAX];
	const cJSON *item;

	ret[0] = '\0';
	cJSON_ArrayForEach (item, unseen) {
		if (!cJSON_IsNumber(item) || item->valuedouble <= 0)
			continue;
		format_bytes(item->valuedouble, bytes);
		note(ret, "%s%s %s", ret[0] ? ", " : "", item->string, bytes);
	}
}

int top_view_services(struct top_view *v, const cJSON *answer)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(answer, "services"), *item;
	double total = number_of(answer, "total");

	if (!cJSON_IsArray(list) || isnan(total))
		return -EPROTO;
	v->n = 0;
	cJSON_ArrayForEach (item, list)
		if (v->n < TOP_ROWS_MAX)
			read_row(item, &v->row[v->n++]);
	v->total = total > (double)v->n ? (size_t)fmin(total, 1e9) : v->n;
	v->window_s = number_of(answer, "window_seconds");
	read_unseen(cJSON_GetObjectItemCaseSensitive(answer, "unseen_bytes"), v->unseen);
	return 0;
}

static void read_losses(const cJSON *losses, char ret[TOP_NOTE_MAX])
{
	char lost[FORMAT_MAX];
	const cJSON *item;

	ret[0] = '\0';
	cJSON_ArrayForEach (item, losses) {
		double n = number_of(item, "lost");

		if (strncmp(string_of(item, "probe"), PROBE, strlen(PROBE)) != 0 || !(n > 0))
			continue;
		format_count(n, lost);
		note(ret, "%s%s %s", ret[0] ? ", " : "", string_of(item, "reason"), lost);
	}
}

/* The first part of this name that does not run; returns whether one of them does. */
static bool read_parts(const cJSON *list, const char *kind, const char *running,
		       char ret[TOP_NOTE_MAX])
{
	const cJSON *item;

	cJSON_ArrayForEach (item, list) {
		const char *state = string_of(item, "state"), *reason = string_of(item, "reason");

		if (strncmp(string_of(item, "name"), PROBE, strlen(PROBE)) != 0)
			continue;
		if (strcmp(state, running) == 0 || strcmp(state, "shed") == 0)
			return true;
		if (!ret[0])
			note(ret, "the " PROBE " %s is %s: %s", kind, state,
			     reason[0] ? reason : "no reason given");
	}
	return false;
}

void top_view_status(struct top_view *v, const cJSON *answer)
{
	const cJSON *probes = cJSON_GetObjectItemCaseSensitive(answer, "probes");
	const cJSON *modules = cJSON_GetObjectItemCaseSensitive(answer, "modules");
	char probe[TOP_NOTE_MAX] = "", module[TOP_NOTE_MAX] = "";

	read_losses(cJSON_GetObjectItemCaseSensitive(answer, "losses"), v->lost);
	v->trouble[0] = '\0';
	if (!read_parts(probes, "probe", "attached", probe))
		note(v->trouble, "%s", probe[0] ? probe : "no " PROBE " probe is loaded");
	else if (!read_parts(modules, "module", "running", module) && module[0])
		note(v->trouble, "%s", module);
}
