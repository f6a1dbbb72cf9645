/* config_places.c - one pass over a YAML file's events, to note where each key stands, and to
 * refuse what has no place in a configuration: anchors and aliases (a file of 1 kB can stand for
 * gigabytes), deep nesting, a second document. It knows nothing of the options.
 *
 * Bounds: CONFIG_PLACES_MAX keys, DEPTH_MAX levels. Errors name file and line.
 */
#include <errno.h>
#include <string.h>
#include <yaml.h>
#include "config_private.h"

#define DEPTH_MAX 4

struct scan {
	const char *file;
	char *err;
	size_t err_size;
	unsigned documents, depth;
	bool value_is_next; /* in a mapping of depth 1 (sections) or 2 (keys) */
	struct config_place *places;
	size_t n;
};

static int refuse(struct scan *s, const yaml_event_t *e, const char *what)
{
	config_say(s->err, s->err_size, "%s:%zu: %s", s->file, e->start_mark.line + 1, what);
	return -EINVAL;
}

static int refuse_yaml(struct scan *s, const yaml_parser_t *p, const char *bytes, size_t size)
{
	size_t line = p->problem_mark.line + 1;

	if (p->error == YAML_MEMORY_ERROR) {
		config_say(s->err, s->err_size, "%s: no memory to read it", s->file);
		return -ENOMEM;
	}
	if (p->error == YAML_READER_ERROR) {
		line = 1;
		for (size_t i = 0; i < p->problem_offset && i < size; i++)
			line += bytes[i] == '\n';
		config_say(s->err, s->err_size, "%s:%zu: not text: %s; is it the right file?",
			   s->file, line, p->problem);
		return -EINVAL;
	}
	config_say(s->err, s->err_size,
		   "%s:%zu: not valid YAML: %s%s%s; check the indentation and quotes there and in "
		   "the line above",
		   s->file, line, p->context ? p->context : "", p->context ? ", " : "", p->problem);
	return -EINVAL;
}

static enum config_kind scalar_kind(const yaml_event_t *e)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
	const char *text = (const char *)e->data.scalar.value;

	if (e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		for (size_t i = 0; i < sizeof(nulls) / sizeof(nulls[0]); i++)
			if (strcmp(text, nulls[i]) == 0)
				return KIND_NULL;
	if (strlen(text) != e->data.scalar.length)
		return KIND_NUL_BYTE;
	return e->data.scalar.length > CONFIG_TEXT_MAX ? KIND_LONG : KIND_TEXT;
}

/* a key of depth 1 (a section) or 2 */
static int take_key(struct scan *s, const yaml_event_t *e)
{
	const char *name = (const char *)e->data.scalar.value;
	struct config_place *p = &s->places[s->n];

	if (s->n == CONFIG_PLACES_MAX)
		return refuse(s, e, "more keys than there are options; is it the right file?");
	if (s->depth == 1)
		snprintf(p->section, sizeof(p->section), "%s", name);
	else
		memcpy(p->section, s->places[s->n - 1].section, sizeof(p->section));
	snprintf(p->key, sizeof(p->key), "%s", s->depth == 1 ? "" : name[0] ? name : "\"\"");
	p->line = e->start_mark.line + 1;
	s->n++;
	return 0;
}

static int take_scalar(struct scan *s, const yaml_event_t *e)
{
	int r = 0;

	if (s->depth == 0 && scalar_kind(e) != KIND_NULL)
		return refuse(s, e, "expected sections, such as \"serve:\", not one value");
	if (s->depth == 0 || s->depth > 2)
		return 0;
	if (s->value_is_next)
		s->places[s->n - 1].kind = scalar_kind(e);
	else
		r = take_key(s, e);
	s->value_is_next = !s->value_is_next;
	return r;
}

static int take_start(struct scan *s, const yaml_event_t *e)
{
	bool mapping = e->type == YAML_MAPPING_START_EVENT;

	if (s->depth == DEPTH_MAX)
		return refuse(s, e, "nested too deeply; the file has sections and their keys only");
	if (s->depth == 0 && !mapping)
		return refuse(s, e, "expected sections, such as \"serve:\", not a list");
	if (s->depth == 1 || s->depth == 2) {
		if (!s->value_is_next)
			return refuse(s, e, "a key must be a word, not a mapping or a list");
		if (s->depth == 1 && !mapping)
			return refuse(s, e, "expected keys, such as \"enabled:\", not a list");
		s->places[s->n - 1].kind = mapping ? KIND_MAPPING : KIND_LIST;
	}
	s->depth++;
	s->value_is_next = false;
	return 0;
}

static const char *anchor_of(const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_ALIAS_EVENT:
		return (const char *)e->data.alias.anchor;
	case YAML_SCALAR_EVENT:
		return (const char *)e->data.scalar.anchor;
	case YAML_SEQUENCE_START_EVENT:
		return (const char *)e->data.sequence_start.anchor;
	case YAML_MAPPING_START_EVENT:
		return (const char *)e->data.mapping_start.anchor;
	default:
		return NULL;
	}
}

static int take_event(struct scan *s, const yaml_event_t *e)
{
	if (anchor_of(e))
		return refuse(s, e,
			      "anchors and aliases (& and *) are not accepted; write the "
			      "value out, or in quotes");
	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (s->documents++ > 0)
			return refuse(s, e, "a second document; keep one, and no \"---\" after it");
		return 0;
	case YAML_SCALAR_EVENT:
		return take_scalar(s, e);
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		return take_start(s, e);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		s->depth--;
		s->value_is_next = false;
		return 0;
	default:
		return 0;
	}
}

int config_places_scan(const char *file, const char *bytes, size_t size,
		       struct config_place *places, size_t *ret_n, char *err, size_t err_size)
{
	struct scan s = {.file = file, .places = places, .err = err, .err_size = err_size};
	yaml_parser_t parser;
	yaml_event_t e;
	bool end = false;
	int r = 0;

	if (!yaml_parser_initialize(&parser)) {
		config_say(err, err_size, "%s: no memory to read it", file);
		return -ENOMEM;
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, size);
	while (r == 0 && !end) {
		if (!yaml_parser_parse(&parser, &e)) {
			r = refuse_yaml(&s, &parser, bytes, size);
			break;
		}
		r = take_event(&s, &e);
		end = e.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&e);
	}
	yaml_parser_delete(&parser);
	if (r == 0)
		*ret_n = s.n;
	return r;
}
