/* status.c - handlers of /api/status, /healthz and /readyz: what runs, what does not, and why.
 *
 * Reads the shared memory, which the keeper may write meanwhile: counts are clamped to the arrays
 * and strings to their fields. Cost: about 100 us, most of it cJSON's tree.
 */
#include <cjson/cJSON.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include "core/agent.h"
#include "core/log.h"
#include "serve/http.h"
#include "serve/own.h"
#include "serve/pairs.h"
#include "serve/services.h"
#include "serve/status.h"

#define LOSSES_MAX 500

static const char *const module_states[] = {
    [MODULE_RUNNING] = "running",
    [MODULE_OFF] = "off",
    [MODULE_FAILED] = "failed",
};
static const char *const probe_states[] = {
    [PROBE_OFF] = "off",
    [PROBE_ATTACHED] = "attached",
    [PROBE_FAILED] = "failed",
    [PROBE_SHED] = "shed",
};
static const char *const syscall_modes[] = {
    [SYSCALL_BLOCKED] = "blocked",
    [SYSCALL_WINDOWS] = "windows",
    [SYSCALL_EXACT] = "exact",
};

#define NAME_OF(table, i) ((i) < sizeof(table) / sizeof((table)[0]) ? (table)[i] : "unknown")

/* A string of the shared memory, which may lack its NUL while it is written. */
static void add_field(cJSON *to, const char *key, const char *field, size_t bytes)
{
	char text[SHARED_REASON_MAX + 1];
	size_t n = strnlen(field, bytes < sizeof(text) ? bytes : sizeof(text) - 1);

	memcpy(text, field, n);
	text[n] = '\0';
	cJSON_AddStringToObject(to, key, text);
}
#define ADD_FIELD(to, key, field) add_field(to, key, field, sizeof(field))

static cJSON *add_item(cJSON *list)
{
	cJSON *item = cJSON_CreateObject();

	cJSON_AddItemToArray(list, item);
	return item;
}

static uint32_t at_most(uint32_t n, uint32_t max)
{
	return n < max ? n : max;
}

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

/* CLOCK_MONOTONIC, as a Unix time */
static double unix_s(const struct shared *s, uint64_t ns)
{
	return (double)s->started_unix_s + (double)(int64_t)(ns - s->started_ns) / 1e9;
}

static const char *probe_name(const struct shared *s, uint32_t probe, char ret[17])
{
	ret[0] = ret[16] = '\0';
	if (probe < SHARED_PROBES)
		memcpy(ret, s->probe[probe].name, sizeof(s->probe[probe].name));
	return ret;
}

/* --- the parts of /api/status */

static void add_build(cJSON *to)
{
	cJSON *build = cJSON_AddObjectToObject(to, "build"), *libraries;

	cJSON_AddStringToObject(build, "version", TRIMTAB_VERSION);
	cJSON_AddStringToObject(build, "compiler", OWN_COMPILER);
	libraries = cJSON_AddObjectToObject(build, "libraries");
	cJSON_AddStringToObject(libraries, "libmicrohttpd", MHD_get_version());
	cJSON_AddStringToObject(libraries, "libuv", uv_version_string());
	cJSON_AddStringToObject(libraries, "cjson", cJSON_Version());
}

static void add_roles(cJSON *to, const struct shared *s, uint64_t now_ns)
{
	cJSON *list = cJSON_AddArrayToObject(to, "roles");

	for (uint32_t i = 0; i < at_most(s->roles_n, SHARED_ROLES); i++) {
		const struct shared_role *r = &s->role[i];
		cJSON *item = add_item(list);

		ADD_FIELD(item, "name", r->name);
		cJSON_AddNumberToObject(item, "pid", r->pid);
		cJSON_AddBoolToObject(item, "running", r->pid > 0);
		cJSON_AddNumberToObject(item, "restarts", r->restarts);
		cJSON_AddNumberToObject(item, "uptime_seconds",
					r->pid > 0 ? seconds(now_ns - r->started_ns) : 0);
		cJSON_AddNumberToObject(item, "last_status", r->last_status);
	}
}

static void add_modules(cJSON *to, const struct agent *a)
{
	cJSON *list = cJSON_AddArrayToObject(to, "modules");

	for (size_t i = 0; i < a->slots_n; i++) {
		const struct module_slot *slot = &a->slots[i];
		cJSON *item = add_item(list);

		cJSON_AddStringToObject(item, "name", slot->module->name);
		cJSON_AddStringToObject(item, "about", slot->module->about);
		cJSON_AddStringToObject(item, "state", NAME_OF(module_states, slot->phase));
		ADD_FIELD(item, "reason", slot->reason);
		cJSON_AddNumberToObject(item, "ticks", (double)slot->ticks);
		cJSON_AddNumberToObject(item, "errors", (double)slot->errors);
		cJSON_AddNumberToObject(item, "tick_seconds", seconds(slot->tick_ns));
	}
}

static void add_probes(cJSON *to, const struct shared *s)
{
	cJSON *list = cJSON_AddArrayToObject(to, "probes");

	for (uint32_t i = 0; i < at_most(s->probes_n, SHARED_PROBES); i++) {
		cJSON *item = add_item(list);

		ADD_FIELD(item, "name", s->probe[i].name);
		cJSON_AddStringToObject(item, "state", NAME_OF(probe_states, s->probe[i].phase));
		ADD_FIELD(item, "reason", s->probe[i].reason);
	}
}

static void add_programs(cJSON *to, const struct shared *s)
{
	cJSON *list = cJSON_AddArrayToObject(to, "programs");
	char probe[17];

	for (uint32_t i = 0; i < at_most(s->progs_n, SHARED_PROGS); i++) {
		const struct shared_prog *p = &s->prog[i];
		cJSON *item = add_item(list);

		ADD_FIELD(item, "name", p->name);
		cJSON_AddStringToObject(item, "probe", probe_name(s, p->probe, probe));
		cJSON_AddBoolToObject(item, "attached", p->attached);
		cJSON_AddNumberToObject(item, "run_seconds_estimated", p->run_seconds);
		cJSON_AddNumberToObject(item, "runs_estimated", p->runs);
		cJSON_AddNumberToObject(item, "missed", (double)p->missed);
	}
}

static void add_maps(cJSON *to, const struct shared *s)
{
	cJSON *list = cJSON_AddArrayToObject(to, "maps");
	uint64_t sum = 0;
	char probe[17];

	for (uint32_t i = 0; i < at_most(s->maps_n, SHARED_MAPS); i++) {
		const struct shared_map *m = &s->map[i];
		cJSON *item = add_item(list);

		ADD_FIELD(item, "name", m->name);
		cJSON_AddStringToObject(item, "probe", probe_name(s, m->probe, probe));
		cJSON_AddNumberToObject(item, "bytes", (double)m->bytes);
		sum += m->bytes;
	}
	cJSON_AddNumberToObject(to, "kernel_bytes", (double)sum);
}

/* What is sampled, in words: a number that is an estimate must not pass for a count. */
static void add_sampling_words(cJSON *to, uint32_t mode, double ratio)
{
	char text[256];

	if (mode == SYSCALL_EXACT)
		snprintf(text, sizeof(text), "System calls are exact: every call is observed.");
	else if (mode == SYSCALL_WINDOWS)
		snprintf(text, sizeof(text),
			 "System calls are sampled: every call is observed in randomly placed "
			 "windows, so far %.3g %% of the time; durations, counts and errors are of "
			 "the calls observed. Time blocked in a call is complete.",
			 100 * ratio);
	else
		snprintf(text, sizeof(text),
			 "System calls are not observed, only the time blocked in them, which is "
			 "complete.");
	cJSON_AddStringToObject(to, "meaning", text);
}

static void add_syscall(cJSON *to, const struct agent *a, uint64_t now_ns)
{
	const struct shared *s = a->shared;
	struct shared_windows w = s->windows;
	const struct series *served =
	    store_find(a->store, now_ns, "trimtab_syscall_observed_ratio", "");
	uint64_t open_ns =
	    w.open_since_ns && now_ns > w.open_since_ns ? now_ns - w.open_since_ns : 0;
	double lived = seconds(now_ns - s->started_ns);
	double ratio =
	    served ? served->value : (lived > 0 ? seconds(w.closed_ns + open_ns) / lived : 0);
	cJSON *item = cJSON_AddObjectToObject(to, "syscall");

	cJSON_AddStringToObject(item, "mode", NAME_OF(syscall_modes, w.mode));
	cJSON_AddStringToObject(item, "configured", NAME_OF(syscall_modes, w.configured));
	cJSON_AddNumberToObject(item, "observed_ratio", ratio);
	cJSON_AddNumberToObject(item, "windows", (double)w.windows);
	if (w.exact_until_ns)
		cJSON_AddNumberToObject(item, "exact_until", unix_s(s, w.exact_until_ns));
	else
		cJSON_AddNullToObject(item, "exact_until");
	add_sampling_words(item, w.mode, ratio);
}

/* The processes that match request.tls. */
static void add_tls(cJSON *to, const struct shared_tls *s)
{
	cJSON *tls = cJSON_AddObjectToObject(to, "tls");
	cJSON *list = cJSON_AddArrayToObject(tls, "processes");

	for (uint32_t i = 0; i < at_most(s->processes_n, SHARED_TLS_PROCESSES); i++) {
		const struct shared_tls_process *p = &s->process[i];
		cJSON *item = add_item(list);

		cJSON_AddNumberToObject(item, "pid", p->pid);
		ADD_FIELD(item, "name", p->comm);
		ADD_FIELD(item, "file", p->file);
		cJSON_AddBoolToObject(item, "watched", !p->reason[0]);
		ADD_FIELD(item, "reason", p->reason);
		cJSON_AddNumberToObject(item, "forked", p->forked);
	}
	cJSON_AddNumberToObject(tls, "left_out", s->left_out);
}

static void add_requests(cJSON *to, const struct agent *a)
{
	cJSON *requests = cJSON_AddObjectToObject(to, "requests");

	ADD_FIELD(requests, "way", a->shared->request_way);
	add_tls(requests, &a->shared->tls);
	services_add_unseen(requests, a);
}

static void add_governor(cJSON *to, const struct agent *a)
{
	cJSON *item = cJSON_AddObjectToObject(to, "governor");

	cJSON_AddNumberToObject(item, "budget_ratio", a->config->agent.budget_ratio);
	cJSON_AddNumberToObject(item, "bpf_cpu_ratio", a->shared->bpf_cpu_ratio);
	cJSON_AddNumberToObject(item, "shed_level", a->shared->shed_level);
	cJSON_AddStringToObject(item, "meaning",
				a->shared->shed_level
				    ? "The BPF programs passed their budget: detail is shed."
				    : "Nothing is shed.");
}

static void add_losses(cJSON *to, const struct agent *a, uint64_t now_ns)
{
	cJSON *list = cJSON_AddArrayToObject(to, "losses");
	const struct series *s;
	size_t cursor = 0;
	int n = 0;

	while (n < LOSSES_MAX && (s = store_next(a->store, now_ns, &cursor))) {
		char name[STORE_LABELS_MAX + 1], value[STORE_LABELS_MAX + 1];
		const char *at = s->labels;
		struct pair pair;
		cJSON *item;

		if (strcmp(s->metric->name, "trimtab_lost_total") != 0)
			continue;
		item = add_item(list);
		while (pairs_next(&at, &pair)) {
			snprintf(name, sizeof(name), "%.*s", (int)pair.name_bytes, pair.name);
			snprintf(value, sizeof(value), "%.*s", (int)pair.value_bytes, pair.value);
			cJSON_AddStringToObject(item, name, value);
		}
		cJSON_AddNumberToObject(item, "lost", s->value);
		n++;
	}
}

static void add_store(cJSON *to, const struct agent *a)
{
	cJSON *item = cJSON_AddObjectToObject(to, "store");
	struct store_stats stats;

	store_get_stats(a->store, &stats);
	cJSON_AddNumberToObject(item, "series", stats.series);
	cJSON_AddNumberToObject(item, "series_max", stats.series_max);
	cJSON_AddNumberToObject(item, "histograms", stats.hists);
	cJSON_AddNumberToObject(item, "histograms_max", stats.hists_max);
	cJSON_AddNumberToObject(item, "dropped", (double)stats.dropped);
}

static void add_option(cJSON *section, const struct config *c, const struct config_option *o)
{
	const char *at = (const char *)c + o->offset, *text;

	switch (o->type) {
	case OPTION_STRING:
		text = *(char *const *)at;
		cJSON_AddStringToObject(section, o->key,
					!text || !*text ? ""
					: o->secret	? "***"
							: text);
		break;
	case OPTION_BOOL:
		cJSON_AddBoolToObject(section, o->key, *(const bool *)at);
		break;
	case OPTION_UINT:
		cJSON_AddNumberToObject(section, o->key, (double)*(const uint64_t *)at);
		break;
	case OPTION_RATIO:
		cJSON_AddNumberToObject(section, o->key, *(const double *)at);
		break;
	case OPTION_ENUM:
		cJSON_AddStringToObject(section, o->key, o->values[*(const int *)at]);
		break;
	}
}

static void add_configuration(cJSON *to, const struct agent *a)
{
	cJSON *item = cJSON_AddObjectToObject(to, "configuration");

	if (a->config_file)
		cJSON_AddStringToObject(item, "file", a->config_file);
	else
		cJSON_AddNullToObject(item, "file");
	for (size_t i = 0; i < config_options_n; i++) {
		const struct config_option *o = &config_options[i];
		cJSON *section = cJSON_GetObjectItemCaseSensitive(item, o->section);

		if (!section)
			section = cJSON_AddObjectToObject(item, o->section);
		add_option(section, a->config, o);
	}
}

/* --- handlers */

int status_get(struct http_request *q)
{
	const struct agent *a = q->agent;
	uint64_t now_ns = agent_now_ns();
	cJSON *json = cJSON_CreateObject();

	add_build(json);
	cJSON_AddNumberToObject(json, "started", (double)a->shared->started_unix_s);
	cJSON_AddNumberToObject(json, "uptime_seconds", seconds(now_ns - a->shared->started_ns));
	ADD_FIELD(json, "kernel", a->shared->kernel);
	ADD_FIELD(json, "btf", a->shared->btf);
	cJSON_AddNumberToObject(json, "cpus", a->shared->cpus);
	add_roles(json, a->shared, now_ns);
	add_modules(json, a);
	add_probes(json, a->shared);
	add_programs(json, a->shared);
	add_maps(json, a->shared);
	add_syscall(json, a, now_ns);
	add_requests(json, a);
	add_governor(json, a);
	add_losses(json, a, now_ns);
	add_store(json, a);
	cJSON_AddNumberToObject(cJSON_AddObjectToObject(json, "log"), "held_back",
				(double)log_held_back());
	add_configuration(json, a);
	return http_json(q, json, MHD_HTTP_OK);
}

int status_healthz(struct http_request *q)
{
	buffer_puts(&q->out, "{\"status\":\"ok\"}\n");
	return MHD_HTTP_OK;
}

/* What is off or failed does not make the node unready: the rest works, and says so here. */
int status_readyz(struct http_request *q)
{
	const struct agent *a = q->agent;
	cJSON *json = cJSON_CreateObject(), *waiting, *degraded;
	bool ready;

	cJSON_AddStringToObject(json, "status", "");
	waiting = cJSON_AddArrayToObject(json, "waiting");
	degraded = cJSON_AddArrayToObject(json, "degraded");
	for (size_t i = 0; i < a->slots_n; i++) {
		const struct module_slot *slot = &a->slots[i];
		cJSON *list = slot->phase == MODULE_FAILED ? degraded : NULL;
		const char *reason = slot->reason;
		cJSON *item;

		if (slot->phase == MODULE_RUNNING && slot->module->period_ms && !slot->ticks) {
			list = waiting;
			reason = "has not run yet";
		}
		if (!list)
			continue;
		item = add_item(list);
		cJSON_AddStringToObject(item, "module", slot->module->name);
		add_field(item, "reason", reason, strlen(reason));
	}
	ready = a->slots_n > 0 && cJSON_GetArraySize(waiting) == 0;
	cJSON_ReplaceItemInObject(json, "status", cJSON_CreateString(ready ? "ready" : "starting"));
	return http_json(q, json, ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE);
}
