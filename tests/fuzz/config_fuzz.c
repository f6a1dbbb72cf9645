/* config_fuzz.c - libFuzzer target: any bytes as the content of trimtab.yaml.
 *
 * They are refused with one printable line that begins with the file's name, or give a
 * configuration whose every field is within the bounds of its option.
 */
/* objects: agent/core/config.c agent/core/config_options.c agent/core/config_file.c */
/* objects: agent/core/config_places.c agent/core/config_env.c agent/core/config_suggest.c */
/* objects: agent/core/config_check.c */
/* libs: -lcyaml -lyaml */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "core/config_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_error(const char *err, size_t err_size)
{
	size_t n = strnlen(err, err_size);

	must(n > 0 && n < err_size);
	must(strncmp(err, "fuzz.yaml:", 10) == 0);
	for (size_t i = 0; i < n; i++)
		must(!iscntrl((unsigned char)err[i]));
}

static void check_field(const struct config *c, const struct config_option *o)
{
	const void *field = (const char *)c + o->offset;
	double number = 0;
	int n = 0;

	switch (o->type) {
	case OPTION_STRING:
		must(strlen(*(char *const *)field) <= CONFIG_TEXT_MAX);
		break;
	case OPTION_BOOL:
		must(*(const unsigned char *)field <= 1);
		break;
	case OPTION_UINT:
		number = *(const uint64_t *)field;
		must(number >= o->min && number <= o->max);
		break;
	case OPTION_RATIO:
		number = *(const double *)field;
		must(number >= o->min && number <= o->max);
		break;
	case OPTION_ENUM:
		while (o->values[n])
			n++;
		must(*(const int *)field >= 0 && *(const int *)field < n);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *c = NULL;
	char err[1024] = "";

	if (config_parse("fuzz.yaml", (const char *)data, size, NULL, &c, err, sizeof(err)) < 0) {
		check_error(err, sizeof(err));
		return 0;
	}
	for (size_t i = 0; i < config_options_n; i++)
		check_field(c, &config_options[i]);
	must(c->syscall.window_ms <= c->syscall.period_ms);
	config_free(c);
	return 0;
}
