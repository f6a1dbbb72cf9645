/* config.h - the configuration: one table of options, filled from defaults, a YAML file, TRIMTAB_*
 * variables and the command line, in that order.
 *
 * The table (config_options) is the only place that names an option: the libcyaml schema, the
 * environment overrides, the checks and docs/configure.md are all made from it.
 */
#ifndef TRIMTAB_CONFIG_H
#define TRIMTAB_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_FILE_MAX_BYTES (1 << 20)
#define CONFIG_OPTIONS_MAX 256

enum log_format { LOG_TEXT, LOG_JSON };
enum syscall_mode { SYSCALL_BLOCKED, SYSCALL_WINDOWS, SYSCALL_EXACT };
enum request_way { REQUEST_WAY_AUTO, REQUEST_WAY_SOCKET, REQUEST_WAY_PACKET };

struct config {
	struct {
		char *state_dir;
		char *user;
		uint64_t period_ms;
		uint64_t hang_ms;
		uint64_t series;
		double budget_ratio;
	} agent;
	struct {
		int format; /* enum log_format */
		int level;  /* enum log_level */
	} log;
	struct {
		char *listen;
		char *token;
		char *tls_cert;
		char *tls_key;
	} serve;
	struct {
		bool enabled;
		int mode; /* enum syscall_mode */
		uint64_t window_ms;
		uint64_t period_ms;
	} syscall;
	struct {
		bool enabled;
	} disk, sched;
	struct {
		bool enabled;
		uint64_t sweep_ms;
		uint64_t connections;
	} tcp;
	struct {
		bool enabled;
		bool outbound;
		uint64_t connections;
		int way; /* enum request_way */
		uint64_t slow_ms;
		char *untimed;
		char *tls;
	} request;
	struct {
		bool enabled;
		char *ignore_mounts;
		char *ignore_devices;
	} host;
	bool fixed[CONFIG_OPTIONS_MAX]; /* by option: config_set() set it */
};

enum option_type { OPTION_STRING, OPTION_BOOL, OPTION_UINT, OPTION_RATIO, OPTION_ENUM };

struct config_option {
	const char *section, *key;
	enum option_type type;
	size_t offset;		   /* in struct config */
	const char *fallback;	   /* the default, as it would be written in the file */
	double min, max;	   /* OPTION_UINT, OPTION_RATIO */
	const char *const *values; /* OPTION_ENUM: names, ended by NULL; the value is the index */
	const char *unit;	   /* "ms", "bytes", "" */
	bool reload;		   /* SIGHUP applies it; the others need a restart */
	bool secret;		   /* its value is never shown, not even in an error */
	/* a rule beyond the type: 0, or -EINVAL and why; NULL: none */
	int (*check)(const char *text, char *why, size_t why_size);
	const char *help; /* one sentence */
};

extern const struct config_option config_options[];
extern const size_t config_options_n;

/* Makes a configuration from the defaults, the file (NULL: none) and the environment (`environ`
 * style, NULL: none). On failure returns -errno and writes to err one line that names the file,
 * line, key, what is wrong and what to do: "trimtab.yaml:3: unknown key \"serve.lisen\"; did you
 * mean \"serve.listen\"?". config_free(NULL) is fine. */
int config_load(const char *file, char *const *env, struct config **ret, char *err,
		size_t err_size);
void config_free(struct config *c);
/* Sets one option from text, as --listen does. Same errors. */
int config_set(struct config *c, const char *section, const char *key, const char *text, char *err,
	       size_t err_size);
/* For SIGHUP: gives `next`, just loaded, the running values of what only a restart changes, and of
 * what config_set() set. ret_waiting: the options that the file changed but a restart is needed
 * for, "a.b, c.d"; "" if none. 0 or -ENOMEM, and `next` is then of no use. */
int config_keep(struct config *next, const struct config *running, char *ret_waiting, size_t size);
/* Writes docs/configure.md's table. */
void config_print_docs(FILE *out);

#endif
