/* config_file.c - the YAML file: its bytes, and the text and line of each option in it.
 *
 * libcyaml decides what the file may hold, by a schema made from config_options: sections are
 * mappings, values are texts (so that the file, the environment and the command line are read by
 * the same code), everything is optional. It does not tell where a key stands, so config_places.c
 * is run before it, and its list says what is wrong, in words and with a line.
 *
 * Bounds: CONFIG_FILE_MAX_BYTES, CONFIG_TEXT_MAX bytes a value. Cost: two passes over the file.
 */
#include <cyaml/cyaml.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "config_private.h"

/* --- bytes */

int config_file_read(const char *file, char **ret, size_t *ret_size, char *err, size_t err_size)
{
	char *bytes = NULL;
	size_t size = 0;
	ssize_t n = -1;
	struct stat st;
	int r = 0, fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		config_say(err, err_size, "%s: cannot open: %s; check the path and its permissions",
			   file, strerror(-r));
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		r = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
		config_say(err, err_size, "%s: is %s; give a YAML file", file,
			   S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
		goto out;
	}
	bytes = malloc(CONFIG_FILE_MAX_BYTES + 1);
	if (!bytes) {
		r = -ENOMEM;
		config_say(err, err_size, "%s: no memory to read it", file);
		goto out;
	}
	while (size <= CONFIG_FILE_MAX_BYTES &&
	       (n = read(fd, bytes + size, CONFIG_FILE_MAX_BYTES + 1 - size)) > 0)
		size += n;
	if (size > CONFIG_FILE_MAX_BYTES) {
		r = -EFBIG;
		config_say(err, err_size, "%s: is larger than %d bytes; is it the right file?",
			   file, CONFIG_FILE_MAX_BYTES);
	} else if (n < 0) {
		r = -errno;
		config_say(err, err_size, "%s: cannot read: %s", file, strerror(-r));
	}
out:
	if (fd >= 0)
		close(fd);
	if (r < 0) {
		free(bytes);
		return r;
	}
	*ret = bytes;
	*ret_size = size;
	return 0;
}

/* what a file is read with */
struct reading {
	const char *file;
	struct config_place *places; /* owned */
	size_t n;
	char *err;
	size_t err_size;
};

/* --- what is wrong with a place, in words */

static bool is_section(const char *name)
{
	for (size_t i = 0; i < config_options_n; i++)
		if (strcmp(config_options[i].section, name) == 0)
			return true;
	return false;
}

static bool is_repeated(const struct reading *s, const struct config_place *p, unsigned *ret_line)
{
	for (const struct config_place *q = s->places; q < p; q++)
		if (strcmp(q->section, p->section) == 0 && strcmp(q->key, p->key) == 0) {
			*ret_line = q->line;
			return true;
		}
	return false;
}

static const char *const kind_faults[] = {
    [KIND_NULL] = "has no value; give one, or remove the key",
    [KIND_LONG] = "is too long",
    [KIND_NUL_BYTE] = "holds a NUL byte; remove it",
    [KIND_LIST] = "must be one value, not a list",
    [KIND_MAPPING] = "must be one value, not a mapping",
};

static bool say_fault(const struct reading *s, const struct config_place *p)
{
	bool section = !p->key[0];
	char name[2 * CONFIG_NAME_MAX], suggestion[300];
	unsigned line;

	snprintf(name, sizeof(name), "%s%s%s", p->section, section ? "" : ".", p->key);
	if (section ? !is_section(p->section) : !config_find(p->section, p->key)) {
		config_suggest(name, suggestion, sizeof(suggestion));
		config_say(s->err, s->err_size, "%s:%u: unknown %s \"%s\"%s", s->file, p->line,
			   section ? "section" : "key", name, suggestion);
	} else if (is_repeated(s, p, &line)) {
		config_say(s->err, s->err_size, "%s:%u: \"%s\" is there twice; first in line %u",
			   s->file, p->line, name, line);
	} else if (section && p->kind != KIND_MAPPING && p->kind != KIND_NULL) {
		config_say(s->err, s->err_size,
			   "%s:%u: \"%s\" is a section; write its keys indented below it", s->file,
			   p->line, name);
	} else if (!section && kind_faults[p->kind]) {
		config_say(s->err, s->err_size, "%s:%u: %s %s", s->file, p->line, name,
			   kind_faults[p->kind]);
	} else {
		return false;
	}
	return true;
}

/* --- libcyaml */

/* Fields by section, then the options of each, each array ended by a field without a key: at most
 * two fields an option, and one. */
struct schema {
	cyaml_schema_value_t root;
	cyaml_schema_field_t fields[];
};

static const cyaml_config_t cyaml = {
    .mem_fn = cyaml_mem,
    .flags = CYAML_CFG_NO_ALIAS,
};

static bool starts_section(size_t option)
{
	return option == 0 ||
	       strcmp(config_options[option].section, config_options[option - 1].section) != 0;
}

/* A document loads as an array of sections, each NULL or an array of its keys' texts. */
static struct schema *schema_new(void)
{
	struct schema *s = calloc(1, sizeof(*s) + (3 * config_options_n + 1) * sizeof(*s->fields));
	cyaml_schema_field_t *section, *key;

	if (!s)
		return NULL;
	section = s->fields;
	key = s->fields + config_options_n + 1;
	for (size_t i = 0; i < config_options_n; i++) {
		if (starts_section(i)) {
			section += i > 0;
			key += i > 0; /* the end of the section before */
			section->key = config_options[i].section;
			section->data_offset = (section - s->fields) * sizeof(char **);
			section->value.type = CYAML_MAPPING;
			section->value.flags =
			    CYAML_FLAG_OPTIONAL | (enum cyaml_flag)CYAML_FLAG_POINTER_NULL_STR;
			section->value.mapping.fields = key;
		}
		key->key = config_options[i].key;
		key->data_offset = section->value.data_size;
		key->value.type = CYAML_STRING;
		key->value.flags = CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER;
		key->value.data_size = sizeof(char);
		key->value.string.max = CONFIG_TEXT_MAX;
		section->value.data_size += sizeof(char *);
		key++;
	}
	s->root.type = CYAML_MAPPING;
	s->root.flags = CYAML_FLAG_POINTER;
	s->root.data_size = (section - s->fields + 1) * sizeof(char **);
	s->root.mapping.fields = s->fields;
	return s;
}

static unsigned find_line(const struct reading *s, const struct config_option *o)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->places[i].section, o->section) == 0 &&
		    strcmp(s->places[i].key, o->key) == 0)
			return s->places[i].line;
	return 0;
}

/* The texts change hands: libcyaml's copies are malloc()ed. */
static void take_texts(const struct reading *s, char ***document, struct config_text *texts)
{
	size_t section = 0, key = 0;

	for (size_t i = 0; i < config_options_n; i++, key++) {
		if (starts_section(i)) {
			section += i > 0;
			key = 0;
		}
		if (!document[section] || !document[section][key])
			continue;
		texts[i].text = document[section][key];
		texts[i].line = find_line(s, &config_options[i]);
		document[section][key] = NULL;
	}
}

static int load_texts(const struct reading *s, const char *bytes, size_t size,
		      struct config_text *texts)
{
	struct schema *schema = schema_new();
	cyaml_data_t *document = NULL;
	cyaml_err_t e = CYAML_ERR_OOM;

	if (schema)
		e = cyaml_load_data((const uint8_t *)bytes, size, &cyaml, &schema->root, &document,
				    NULL);
	for (size_t i = 0; i < s->n && e != CYAML_ERR_OOM; i++)
		if (say_fault(s, &s->places[i])) {
			e = e == CYAML_OK ? CYAML_ERR_INVALID_VALUE : e;
			goto out;
		}
	if (e != CYAML_OK)
		config_say(s->err, s->err_size, "%s: cannot be read: %s", s->file,
			   cyaml_strerror(e));
	else if (document)
		take_texts(s, document, texts);
out:
	if (document)
		cyaml_free(&cyaml, &schema->root, document, 0);
	free(schema);
	return e == CYAML_OK ? 0 : e == CYAML_ERR_OOM ? -ENOMEM : -EINVAL;
}

int config_file_parse(const char *file, const char *bytes, size_t size, struct config_text *texts,
		      char *err, size_t err_size)
{
	struct reading s = {.file = file, .err = err, .err_size = err_size};
	int r;

	s.places = calloc(CONFIG_PLACES_MAX, sizeof(*s.places));
	if (!s.places) {
		config_say(err, err_size, "%s: no memory to read it", file);
		return -ENOMEM;
	}
	r = config_places_scan(file, bytes, size, s.places, &s.n, err, err_size);
	if (r == 0 && s.n > 0)
		r = load_texts(&s, bytes, size, texts);
	free(s.places);
	return r;
}

void config_file_free_texts(struct config_text *texts)
{
	for (size_t i = 0; texts && i < config_options_n; i++)
		free(texts[i].text);
	free(texts);
}
