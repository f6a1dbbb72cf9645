/* config_private.h - what the files of the configuration share; nobody else includes it, but for
 * the tests and the fuzz target.
 */
#ifndef TRIMTAB_CONFIG_PRIVATE_H
#define TRIMTAB_CONFIG_PRIVATE_H

#include "config.h"

#define CONFIG_TEXT_MAX 4096 /* bytes of one value */
#define CONFIG_NAME_MAX 64   /* bytes of a "section.key" that are looked at and shown */

/* One option as the file gives it. */
struct config_text {
	char *text;    /* owned; NULL: the file does not set it */
	unsigned line; /* from 1; 0: not from the file */
};

/* config_load() of a file whose content is in memory; `file` is its name in errors. */
int config_parse(const char *file, const char *bytes, size_t size, char *const *env,
		 struct config **ret, char *err, size_t err_size);

/* Writes one line to err; control bytes become "?", so that no input can make it two. */
__attribute__((format(printf, 3, 4))) void config_say(char *err, size_t err_size,
						      const char *format, ...);

/* The option of a section and key; NULL if there is none. */
const struct config_option *config_find(const char *section, const char *key);

/* config_file.c: the whole file into memory (to be freed), and its YAML into texts, one for each
 * of config_options, to be given zeroed and ended by config_file_free_texts(). */
int config_file_read(const char *file, char **ret, size_t *ret_size, char *err, size_t err_size);
int config_file_parse(const char *file, const char *bytes, size_t size, struct config_text *texts,
		      char *err, size_t err_size);
void config_file_free_texts(struct config_text *texts);

/* config_places.c: where each key of the file stands */
enum config_kind { KIND_TEXT, KIND_NULL, KIND_LONG, KIND_NUL_BYTE, KIND_LIST, KIND_MAPPING };

struct config_place {
	char section[CONFIG_NAME_MAX], key[CONFIG_NAME_MAX]; /* key "": the section itself */
	unsigned line;
	enum config_kind kind; /* of the value */
};

/* Writes at most CONFIG_PLACES_MAX places, in the file's order; a document that is absent or null
 * has none. */
#define CONFIG_PLACES_MAX 1024
int config_places_scan(const char *file, const char *bytes, size_t size,
		       struct config_place *places, size_t *ret_n, char *err, size_t err_size);

/* config_env.c: calls set() for each TRIMTAB_* variable that names an option. */
int config_env_each(char *const *env,
		    int (*set)(void *ctx, const struct config_option *o, const char *name,
			       const char *text, char *err, size_t err_size),
		    void *ctx, char *err, size_t err_size);
/* The variable of an option: TRIMTAB_TCP_SWEEP_MS. */
void config_env_name(const struct config_option *o, char ret[CONFIG_NAME_MAX]);

/* config_suggest.c: what to say after "unknown key X": "; did you mean "Y"?" or the choices.
 * name: "section.key", or "section" alone. Always ends ret, and never with more than fits. */
void config_suggest(const char *name, char *ret, size_t ret_size);
/* Edits (insert, delete, replace, swap neighbours) that make a of b; SIZE_MAX if either is longer
 * than CONFIG_NAME_MAX. */
size_t config_suggest_distance(const char *a, const char *b);
/* Whether a distance is near enough to a name of this length to be what was meant. */
bool config_suggest_near(size_t distance, size_t length);

/* config_check.c: rules of single options; see struct config_option. */
int config_check_path(const char *text, char *why, size_t why_size);
int config_check_user(const char *text, char *why, size_t why_size);
int config_check_listen(const char *text, char *why, size_t why_size);
int config_check_token(const char *text, char *why, size_t why_size);
int config_check_regex(const char *text, char *why, size_t why_size);

#endif
