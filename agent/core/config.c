/* config.c - makes a struct config from defaults, file, environment and command line, each over
 * the one before; a configuration is replaced whole or not at all.
 *
 * Every text goes through set_option(), wherever it comes from. Errors are one line; the value of
 * an option marked secret is never in one. Cost: a few ms at start and on SIGHUP, nothing else.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "config_private.h"

#define WHY_MAX 512

/* what config_env_each() sets into */
struct load {
	struct config *config;
	struct config_text *texts;
};

void config_say(char *err, size_t err_size, const char *format, ...)
{
	va_list args;

	if (err_size == 0)
		return;
	va_start(args, format);
	vsnprintf(err, err_size, format, args);
	va_end(args);
	for (; *err; err++)
		if (iscntrl((unsigned char)*err))
			*err = '?';
}

const struct config_option *config_find(const char *section, const char *key)
{
	for (size_t i = 0; i < config_options_n; i++)
		if (strcmp(config_options[i].section, section) == 0 &&
		    strcmp(config_options[i].key, key) == 0)
			return &config_options[i];
	return NULL;
}

/* --- from text to a field: 0 and the field set, or -errno, why, and the field as it was */

static int refuse(const struct config_option *o, const char *text, const char *what, char *why)
{
	if (o->secret)
		snprintf(why, WHY_MAX, "has a wrong value (not shown); %s", what);
	else if (!text[0])
		snprintf(why, WHY_MAX, "is empty; %s", what);
	else
		snprintf(why, WHY_MAX, "\"%.60s\" is wrong; %s", text, what);
	return -EINVAL;
}

static int refuse_number(const struct config_option *o, const char *text, char *why)
{
	char what[120];

	if (o->type == OPTION_UINT)
		snprintf(what, sizeof(what), "give a whole number from %.0f to %.0f%s%s", o->min,
			 o->max, o->unit ? " " : "", o->unit ? o->unit : "");
	else
		snprintf(what, sizeof(what), "give a number from %g to %g", o->min, o->max);
	return refuse(o, text, what, why);
}

static int parse_string(const struct config_option *o, const char *text, void *field, char *why)
{
	char *copy;
	size_t n = 0;

	while (n <= CONFIG_TEXT_MAX && text[n] && !iscntrl((unsigned char)text[n]))
		n++;
	if (n > CONFIG_TEXT_MAX || text[n])
		return refuse(o, text, "give a shorter text without control characters", why);
	copy = strdup(text);
	if (!copy) {
		snprintf(why, WHY_MAX, "no memory");
		return -ENOMEM;
	}
	*(char **)field = copy;
	return 0;
}

static int parse_bool(const struct config_option *o, const char *text, void *field, char *why)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(text, words[i]) == 0) {
			*(bool *)field = i % 2;
			return 0;
		}
	return refuse(o, text, "give true or false", why);
}

static int parse_uint(const struct config_option *o, const char *text, void *field, char *why)
{
	size_t n = strspn(text, "0123456789");
	uint64_t value;

	/* 18 digits always fit */
	if (n == 0 || n > 18 || text[n])
		return refuse_number(o, text, why);
	value = strtoull(text, NULL, 10);
	if ((double)value < o->min || (double)value > o->max)
		return refuse_number(o, text, why);
	*(uint64_t *)field = value;
	return 0;
}

static int parse_ratio(const struct config_option *o, const char *text, void *field, char *why)
{
	size_t n = strspn(text, "0123456789.eE+-"); /* not nan, inf or 0x1p3 */
	char *end;
	double value = strtod(text, &end);

	if (n == 0 || text[n] || *end || !(value >= o->min && value <= o->max))
		return refuse_number(o, text, why);
	*(double *)field = value;
	return 0;
}

static int parse_enum(const struct config_option *o, const char *text, void *field, char *why)
{
	char what[120] = "give one of";
	size_t used = strlen(what);

	for (int i = 0; o->values[i]; i++) {
		if (strcmp(text, o->values[i]) == 0) {
			*(int *)field = i;
			return 0;
		}
		if (used < sizeof(what))
			used += snprintf(what + used, sizeof(what) - used, "%s %s", i ? "," : "",
					 o->values[i]);
	}
	return refuse(o, text, what, why);
}

static int (*const parsers[])(const struct config_option *o, const char *text, void *field,
			      char *why) = {
    [OPTION_STRING] = parse_string, [OPTION_BOOL] = parse_bool, [OPTION_UINT] = parse_uint,
    [OPTION_RATIO] = parse_ratio,   [OPTION_ENUM] = parse_enum,
};

/* --- a whole configuration */

static int check_together(const struct config *c, const struct config_option **ret_option,
			  char *why)
{
	if (c->syscall.window_ms > c->syscall.period_ms) {
		*ret_option = config_find("syscall", "window_ms");
		snprintf(why, WHY_MAX,
			 "is %llu, above syscall.period_ms, which is %llu; lower the first or "
			 "raise the second",
			 (unsigned long long)c->syscall.window_ms,
			 (unsigned long long)c->syscall.period_ms);
		return -EINVAL;
	}
	if (!c->serve.tls_cert[0] != !c->serve.tls_key[0]) {
		*ret_option = config_find("serve", c->serve.tls_cert[0] ? "tls_cert" : "tls_key");
		snprintf(why, WHY_MAX, "is set without serve.tls_%s; set both or none",
			 c->serve.tls_cert[0] ? "key" : "cert");
		return -EINVAL;
	}
	return 0;
}

static void *field_of(struct config *c, const struct config_option *o)
{
	return (char *)c + o->offset;
}

/* together: also check options against each other; c is as it was on failure */
static int set_option(struct config *c, const struct config_option *o, const char *text,
		      bool together, char *why)
{
	struct config next = *c;
	const struct config_option *other;
	void *old = o->type == OPTION_STRING ? *(char **)field_of(c, o) : NULL;
	int r = parsers[o->type](o, text, field_of(&next, o), why);

	if (r == 0 && o->check)
		r = o->check(text, why, WHY_MAX);
	if (r == 0 && together)
		r = check_together(&next, &other, why);
	if (r == 0) {
		*c = next;
		free(old);
	} else if (o->type == OPTION_STRING && *(char **)field_of(&next, o) != old) {
		free(*(char **)field_of(&next, o));
	}
	return r;
}

static int set_defaults(struct config *c, char *err, size_t err_size)
{
	for (size_t i = 0; i < config_options_n; i++) {
		const struct config_option *o = &config_options[i];
		char why[WHY_MAX];
		int r = set_option(c, o, o->fallback, false, why);

		if (r < 0) {
			config_say(err, err_size, "the default of %s.%s %s", o->section, o->key,
				   why);
			return r;
		}
	}
	return 0;
}

static int set_texts(struct config *c, const char *file, const struct config_text *texts, char *err,
		     size_t err_size)
{
	for (size_t i = 0; i < config_options_n; i++) {
		const struct config_option *o = &config_options[i];
		char why[WHY_MAX];
		int r = texts[i].text ? set_option(c, o, texts[i].text, false, why) : 0;

		if (r < 0) {
			config_say(err, err_size, "%s:%u: %s.%s: %s", file, texts[i].line,
				   o->section, o->key, why);
			return r;
		}
	}
	return 0;
}

static int set_variable(void *ctx, const struct config_option *o, const char *name,
			const char *text, char *err, size_t err_size)
{
	struct load *l = ctx;
	char why[WHY_MAX];
	int r = set_option(l->config, o, text, false, why);

	if (r < 0)
		config_say(err, err_size, "%s: %s", name, why);
	else
		l->texts[o - config_options].line = 0; /* no longer from the file */
	return r;
}

static int check_loaded(const struct load *l, const char *file, char *err, size_t err_size)
{
	const struct config_option *o;
	char why[WHY_MAX];
	int r = check_together(l->config, &o, why);
	unsigned line;

	if (r == 0)
		return 0;
	line = l->texts[o - config_options].line;
	if (line)
		config_say(err, err_size, "%s:%u: %s.%s %s", file, line, o->section, o->key, why);
	else
		config_say(err, err_size, "%s.%s %s", o->section, o->key, why);
	return r;
}

/* bytes NULL: no file */
static int load(const char *file, const char *bytes, size_t size, char *const *env,
		struct config **ret, char *err, size_t err_size)
{
	struct load l = {
	    .config = calloc(1, sizeof(*l.config)),
	    .texts = calloc(config_options_n, sizeof(*l.texts)),
	};
	int r = -ENOMEM;

	if (!l.config || !l.texts) {
		config_say(err, err_size, "no memory for the configuration");
		goto out;
	}
	r = set_defaults(l.config, err, err_size);
	if (r == 0 && bytes)
		r = config_file_parse(file, bytes, size, l.texts, err, err_size);
	if (r == 0)
		r = set_texts(l.config, file, l.texts, err, err_size);
	if (r == 0)
		r = config_env_each(env, set_variable, &l, err, err_size);
	if (r == 0)
		r = check_loaded(&l, file, err, err_size);
out:
	config_file_free_texts(l.texts);
	if (r < 0)
		config_free(l.config);
	else
		*ret = l.config;
	return r;
}

int config_parse(const char *file, const char *bytes, size_t size, char *const *env,
		 struct config **ret, char *err, size_t err_size)
{
	return load(file, bytes, size, env, ret, err, err_size);
}

int config_load(const char *file, char *const *env, struct config **ret, char *err, size_t err_size)
{
	char *bytes = NULL;
	size_t size = 0;
	int r;

	if (file) {
		r = config_file_read(file, &bytes, &size, err, err_size);
		if (r < 0)
			return r;
	}
	r = load(file, bytes, size, env, ret, err, err_size);
	free(bytes);
	return r;
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < config_options_n; i++)
		if (config_options[i].type == OPTION_STRING)
			free(*(char **)field_of(c, &config_options[i]));
	free(c);
}

int config_set(struct config *c, const char *section, const char *key, const char *text, char *err,
	       size_t err_size)
{
	const struct config_option *o = config_find(section, key);
	char name[2 * CONFIG_NAME_MAX], suggestion[300], why[WHY_MAX];
	int r;

	if (!o) {
		snprintf(name, sizeof(name), "%.60s.%.60s", section, key);
		config_suggest(name, suggestion, sizeof(suggestion));
		config_say(err, err_size, "unknown key \"%s\"%s", name, suggestion);
		return -EINVAL;
	}
	r = set_option(c, o, text, true, why);
	if (r < 0)
		config_say(err, err_size, "%s.%s: %s", section, key, why);
	else
		c->fixed[o - config_options] = true;
	return r;
}

static size_t field_size(const struct config_option *o)
{
	static const size_t sizes[] = {
	    [OPTION_STRING] = sizeof(char *), [OPTION_BOOL] = sizeof(bool),
	    [OPTION_UINT] = sizeof(uint64_t), [OPTION_RATIO] = sizeof(double),
	    [OPTION_ENUM] = sizeof(int),
	};

	return sizes[o->type];
}

static bool same_value(const struct config_option *o, const void *a, const void *b)
{
	if (o->type == OPTION_STRING)
		return strcmp(*(char *const *)a, *(char *const *)b) == 0;
	return memcmp(a, b, field_size(o)) == 0;
}

static int copy_value(const struct config_option *o, void *to, const void *from)
{
	char *text;

	if (o->type != OPTION_STRING) {
		memcpy(to, from, field_size(o));
		return 0;
	}
	text = strdup(*(char *const *)from);
	if (!text)
		return -ENOMEM;
	free(*(char **)to);
	*(char **)to = text;
	return 0;
}

int config_keep(struct config *next, const struct config *running, char *ret_waiting, size_t size)
{
	size_t used = 0;

	ret_waiting[0] = '\0';
	memcpy(next->fixed, running->fixed, sizeof(next->fixed));
	for (size_t i = 0; i < config_options_n; i++) {
		const struct config_option *o = &config_options[i];
		const void *old = (const char *)running + o->offset;

		if ((o->reload && !running->fixed[i]) || same_value(o, field_of(next, o), old))
			continue;
		if (!running->fixed[i] && used < size)
			used += snprintf(ret_waiting + used, size - used, "%s%s.%s",
					 used ? ", " : "", o->section, o->key);
		if (copy_value(o, field_of(next, o), old))
			return -ENOMEM;
	}
	return 0;
}
