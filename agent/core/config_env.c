/* config_env.c - the TRIMTAB_* variables.
 *
 * A variable that starts with TRIMTAB_ and names no option is refused, so that a misspelt override
 * is never lost in silence. Left alone are those that Kubernetes makes in every pod beside a
 * Service whose name starts with "trimtab" (TRIMTAB_SERVICE_HOST, TRIMTAB_PORT_8000_TCP_ADDR).
 */
#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <string.h>
#include "config_private.h"

#define PREFIX "TRIMTAB_"

static const char service_links[] = "^TRIMTAB(_[A-Z0-9_]+)?_("
				    "SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)=|"
				    "PORT=(tcp|udp|sctp)://|"
				    "PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=)";

void config_env_name(const struct config_option *o, char ret[CONFIG_NAME_MAX])
{
	snprintf(ret, CONFIG_NAME_MAX, PREFIX "%s_%s", o->section, o->key);
	for (char *p = ret; *p; p++)
		*p = (char)toupper((unsigned char)*p);
}

static bool is_service_link(const char *variable)
{
	regex_t regex;
	bool match;

	if (regcomp(&regex, service_links, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	match = regexec(&regex, variable, 0, NULL, 0) == 0;
	regfree(&regex);
	return match;
}

/* the option of a variable; or NULL, and in ret_near the nearest one's, "" if none is near */
static const struct config_option *find_option(const char *name, char ret_near[CONFIG_NAME_MAX])
{
	size_t best = SIZE_MAX;
	char candidate[CONFIG_NAME_MAX], near[CONFIG_NAME_MAX] = "";

	for (size_t i = 0; i < config_options_n; i++) {
		size_t d;

		config_env_name(&config_options[i], candidate);
		d = config_suggest_distance(name, candidate);
		if (d == 0)
			return &config_options[i];
		if (d < best) {
			best = d;
			memcpy(near, candidate, sizeof(near));
		}
	}
	if (!config_suggest_near(best, strlen(name) - strlen(PREFIX)))
		near[0] = '\0';
	memcpy(ret_near, near, sizeof(near));
	return NULL;
}

int config_env_each(char *const *env,
		    int (*set)(void *ctx, const struct config_option *o, const char *name,
			       const char *text, char *err, size_t err_size),
		    void *ctx, char *err, size_t err_size)
{
	for (; env && *env; env++) {
		const char *equals = strchr(*env, '=');
		char name[CONFIG_NAME_MAX + 2], near[CONFIG_NAME_MAX];
		const struct config_option *o;
		int r;

		if (strncmp(*env, PREFIX, strlen(PREFIX)) != 0 || !equals)
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)(equals - *env), *env);
		o = find_option(name, near);
		if (o) {
			r = set(ctx, o, name, equals + 1, err, err_size);
			if (r < 0)
				return r;
		} else if (!is_service_link(*env)) {
			config_say(err, err_size, "%s: unknown variable; %s%s%s", name,
				   near[0] ? "did you mean " : "unset it, or ", near,
				   near[0] ? "? If not, unset it"
					   : "name an option as TRIMTAB_SECTION_KEY");
			return -EINVAL;
		}
	}
	return 0;
}
