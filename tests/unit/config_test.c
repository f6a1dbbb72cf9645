/* config_test.c - the configuration: its table, every kind of bad input, and who overrides whom. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/config_private.h"
#include "core/log.h"

#define SECRET "s3cr3t-do-not-show-this"

static struct config *parse(const char *yaml, char *const *env)
{
	struct config *c = NULL;
	char err[600] = "";
	int r = config_parse("t.yaml", yaml, strlen(yaml), env, &c, err, sizeof(err));

	if (r < 0)
		fail_msg("refused: %s", err);
	assert_non_null(c);
	return c;
}

/* a file that must be refused with just this line */
static void refused_bytes(const char *yaml, size_t size, char *const *env, const char *expected)
{
	struct config *c = (struct config *)1;
	char err[600] = "";
	int r = config_parse("t.yaml", yaml, size, env, &c, err, sizeof(err));

	assert_int_equal(r, -EINVAL);
	assert_string_equal(err, expected);
	assert_ptr_equal(c, (struct config *)1); /* untouched on failure */
}

static void refused(const char *yaml, const char *expected)
{
	refused_bytes(yaml, strlen(yaml), NULL, expected);
}

static void refused_env(const char *variable, const char *expected)
{
	char *env[] = {(char *)variable, NULL};

	refused_bytes("", 0, env, expected);
}

static void test_defaults(void **state)
{
	struct config *c = NULL;
	char err[200] = "";

	assert_int_equal(config_load(NULL, NULL, &c, err, sizeof(err)), 0);
	assert_string_equal(c->agent.state_dir, "/var/lib/trimtab");
	assert_string_equal(c->agent.user, "nobody");
	assert_int_equal(c->agent.period_ms, 2000);
	assert_int_equal(c->agent.series, 8192);
	assert_true(c->agent.budget_ratio == 0.01);
	assert_int_equal(c->log.format, LOG_TEXT);
	assert_int_equal(c->log.level, LOG_INFO);
	assert_string_equal(c->serve.listen, "127.0.0.1:8000");
	assert_string_equal(c->serve.token, "");
	assert_string_equal(c->serve.tls_cert, "");
	assert_string_equal(c->serve.tls_key, "");
	assert_true(c->syscall.enabled && c->disk.enabled && c->sched.enabled && c->tcp.enabled);
	assert_int_equal(c->syscall.mode, SYSCALL_WINDOWS);
	assert_int_equal(c->syscall.window_ms, 50);
	assert_int_equal(c->syscall.period_ms, 500);
	assert_int_equal(c->tcp.sweep_ms, 10000);
	assert_int_equal(c->tcp.connections, 65536);
	assert_true(c->host.enabled);
	config_free(c);
	config_free(NULL);
}

/* what the schema and the suggestions rely on */
static void test_table(void **state)
{
	const struct config *c = NULL;

	for (size_t i = 0; i < config_options_n; i++) {
		const struct config_option *o = &config_options[i];
		size_t room = o->type == OPTION_BOOL   ? sizeof(bool)
			      : o->type == OPTION_ENUM ? sizeof(int)
						       : sizeof(uint64_t);

		assert_true(strlen(o->section) + strlen(o->key) + sizeof("TRIMTAB_.") <
			    CONFIG_NAME_MAX);
		assert_null(strpbrk(o->section, "._"));
		assert_true(o->help[strlen(o->help) - 1] == '.');
		assert_true(o->offset + room <= sizeof(*c));
		assert_true((o->type == OPTION_UINT || o->type == OPTION_RATIO) == (o->max > 0));
		assert_true((o->type == OPTION_ENUM) == (o->values != NULL));
		for (size_t j = i + 1; j < config_options_n; j++) {
			const struct config_option *p = &config_options[j];

			assert_false(!strcmp(o->section, p->section) && !strcmp(o->key, p->key));
			/* no two fields overlap */
			assert_true(o->offset + room <= p->offset || p->offset < o->offset);
			/* a section's options stand together */
			if (!strcmp(o->section, p->section))
				assert_string_equal(p[-1].section, o->section);
		}
	}
}

static const char *const every_option = "# every option, none at its default\n"
					"agent:\n"
					"  state_dir: /tmp/x y\n"
					"  user: 'trimtab'\n"
					"  period_ms: 100\n"
					"  series: 65536\n"
					"  budget_ratio: 2.5e-2\n"
					"log: {format: json, level: debug}\n"
					"serve:\n"
					"  listen: \"[::1]:0\"\n"
					"  token: 0123456789abcdef\n"
					"  tls_cert: /c.pem\n"
					"  tls_key: /k.pem\n"
					"syscall:\n"
					"  enabled: no\n"
					"  mode: exact\n"
					"  window_ms: 1000\n"
					"  period_ms: 1000\n"
					"disk: {enabled: false}\n"
					"sched: {enabled: False}\n"
					"tcp: {enabled: off, sweep_ms: 600000, connections: 1024}\n"
					"host:\n"
					"  enabled: FALSE\n"
					"  ignore_mounts: \"\"\n"
					"  ignore_devices: ^x$\n";

static void test_every_option_by_file(void **state)
{
	struct config *c = parse(every_option, NULL);

	assert_string_equal(c->agent.state_dir, "/tmp/x y");
	assert_string_equal(c->agent.user, "trimtab");
	assert_int_equal(c->agent.period_ms, 100);
	assert_int_equal(c->agent.series, 65536);
	assert_true(c->agent.budget_ratio == 0.025);
	assert_int_equal(c->log.format, LOG_JSON);
	assert_int_equal(c->log.level, LOG_DEBUG);
	assert_string_equal(c->serve.listen, "[::1]:0");
	assert_string_equal(c->serve.token, "0123456789abcdef");
	assert_string_equal(c->serve.tls_cert, "/c.pem");
	assert_string_equal(c->serve.tls_key, "/k.pem");
	assert_false(c->syscall.enabled || c->disk.enabled || c->sched.enabled || c->tcp.enabled ||
		     c->host.enabled);
	assert_int_equal(c->syscall.mode, SYSCALL_EXACT);
	assert_int_equal(c->syscall.window_ms, 1000);
	assert_int_equal(c->syscall.period_ms, 1000);
	assert_int_equal(c->tcp.sweep_ms, 600000);
	assert_int_equal(c->tcp.connections, 1024);
	assert_string_equal(c->host.ignore_mounts, "");
	assert_string_equal(c->host.ignore_devices, "^x$");
	config_free(c);
}

static void test_files_that_say_nothing(void **state)
{
	static const char *const files[] = {
	    "",	   "\n\n", "# a comment\n",	"---\n...\n",
	    "~\n", "{}\n", "\xef\xbb\xbf# BOM", "agent:\nserve: ~\nlog:\n  # level: debug\n",
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct config *c = parse(files[i], NULL);

		assert_int_equal(c->agent.period_ms, 2000);
		config_free(c);
	}
}

static void test_unknown_names(void **state)
{
	refused("log:\n  level: info\nserve:\n  lisen: 127.0.0.1:1\n",
		"t.yaml:4: unknown key \"serve.lisen\"; did you mean \"serve.listen\"?");
	refused("\nserv:\n  listen: 127.0.0.1:1\n",
		"t.yaml:2: unknown section \"serv\"; did you mean \"serve\"?");
	refused("syscall: {preiod_ms: 5}",
		"t.yaml:1: unknown key \"syscall.preiod_ms\"; did you mean \"syscall.period_ms\"?");
	refused("agent:\n  listen: 127.0.0.1:1\n",
		"t.yaml:2: unknown key \"agent.listen\"; did you mean \"serve.listen\"?");
	refused("listen: 127.0.0.1:1\n",
		"t.yaml:1: unknown section \"listen\"; did you mean \"serve.listen\"?");
	refused("serve.listen: 127.0.0.1:1\n",
		"t.yaml:1: unknown section \"serve.listen\"; write \"serve:\" and, indented on the "
		"next line, \"listen:\"");
	refused("tcp:\n  window_scaling: 1\n",
		"t.yaml:2: unknown key \"tcp.window_scaling\"; this section has enabled, sweep_ms, "
		"connections");
	refused("kubernetes: 1\n",
		"t.yaml:1: unknown section \"kubernetes\"; the sections are agent, log, serve, "
		"syscall, disk, sched, tcp, request, host");
	refused("Serve:\n  listen: 127.0.0.1:1\n",
		"t.yaml:1: unknown section \"Serve\"; did you mean \"serve\"?");
	refused("\"a\\nb\": 1\n", "t.yaml:1: unknown section \"a?b\"; the sections are agent, log, "
				  "serve, syscall, disk, sched, tcp, request, host");
}

static void test_wrong_values(void **state)
{
	refused("tcp:\n  sweep_ms: fast\n", "t.yaml:2: tcp.sweep_ms: \"fast\" is wrong; give a "
					    "whole number from 100 to 600000 ms");
	refused("tcp:\n  sweep_ms: 99\n", "t.yaml:2: tcp.sweep_ms: \"99\" is wrong; give a whole "
					  "number from 100 to 600000 ms");
	refused("tcp:\n  sweep_ms: 600001\n", "t.yaml:2: tcp.sweep_ms: \"600001\" is wrong; give a "
					      "whole number from 100 to 600000 ms");
	refused("tcp: {connections: 18446744073709551617}",
		"t.yaml:1: tcp.connections: \"18446744073709551617\" is wrong; give a whole number "
		"from 1024 to 1048576");
	refused("agent: {period_ms: -2000}", "t.yaml:1: agent.period_ms: \"-2000\" is wrong; give "
					     "a whole number from 100 to 60000 ms");
	refused("agent: {period_ms: 2e3}", "t.yaml:1: agent.period_ms: \"2e3\" is wrong; give a "
					   "whole number from 100 to 60000 ms");
	refused("agent: {period_ms: \"\"}", "t.yaml:1: agent.period_ms: is empty; give a whole "
					    "number from 100 to 60000 ms");
	refused("agent: {budget_ratio: nan}", "t.yaml:1: agent.budget_ratio: \"nan\" is wrong; "
					      "give a number from 0.0001 to 1");
	refused("agent: {budget_ratio: 1%}", "t.yaml:1: agent.budget_ratio: \"1%\" is wrong; give "
					     "a number from 0.0001 to 1");
	refused("agent: {budget_ratio: 1.01}", "t.yaml:1: agent.budget_ratio: \"1.01\" is wrong; "
					       "give a number from 0.0001 to 1");
	refused("disk: {enabled: 2}", "t.yaml:1: disk.enabled: \"2\" is wrong; give true or false");
	refused("log: {level: loud}", "t.yaml:1: log.level: \"loud\" is wrong; give one of error, "
				      "warn, info, debug");
	refused("log: {level: 2}", "t.yaml:1: log.level: \"2\" is wrong; give one of error, warn, "
				   "info, debug");
	refused("agent: {state_dir: \"/a\\nb\"}",
		"t.yaml:1: agent.state_dir: \"/a?b\" is wrong; give a shorter text without control "
		"characters");
}

static void test_wrong_shapes(void **state)
{
	refused("serve:\n  listen: [a, b]\n",
		"t.yaml:2: serve.listen must be one value, not a list");
	refused("serve:\n  listen:\n    port: 1\n",
		"t.yaml:2: serve.listen must be one value, not a mapping");
	refused("serve:\n  listen:\n", "t.yaml:2: serve.listen has no value; give one, or remove "
				       "the key");
	refused("serve: {tls_cert: null}", "t.yaml:1: serve.tls_cert has no value; give one, or "
					   "remove the key");
	refused("agent: {state_dir: \"/a\\0b\"}",
		"t.yaml:1: agent.state_dir holds a NUL byte; remove it");
	refused("serve: 8000\n",
		"t.yaml:1: \"serve\" is a section; write its keys indented below it");
	refused("serve:\n- listen\n", "t.yaml:2: expected keys, such as \"enabled:\", not a list");
	refused("- serve\n", "t.yaml:1: expected sections, such as \"serve:\", not a list");
	refused("hello\n", "t.yaml:1: expected sections, such as \"serve:\", not one value");
	refused("? {a: b}\n: c\n", "t.yaml:1: a key must be a word, not a mapping or a list");
	refused("tcp: {enabled: true}\ndisk: {enabled: true}\n\ntcp: {sweep_ms: 100}\n",
		"t.yaml:4: \"tcp\" is there twice; first in line 1");
	refused("tcp:\n  sweep_ms: 100\n  sweep_ms: 200\n",
		"t.yaml:3: \"tcp.sweep_ms\" is there twice; first in line 2");
	refused("tcp: {enabled: true}\n---\ntcp: {enabled: false}\n",
		"t.yaml:2: a second document; keep one, and no \"---\" after it");
	refused("tcp: {enabled: [[[[[[1]]]]]]}\n",
		"t.yaml:1: nested too deeply; the file has sections and their keys only");
	/* the first fault of the file is the one told, and what is right stays out of it */
	refused("tcp: {enabled: true}\nserve: {a: 1}\nlog: {b: 2}\n",
		"t.yaml:2: unknown key \"serve.a\"; this section has listen, token, tls_cert, "
		"tls_key");
}

static void test_bad_yaml(void **state)
{
	static const char binary[] = "\x7f"
				     "ELF\x02\x01\x01\0\0\0";

	refused(
	    "serve:\n  listen: a\n token: b\n",
	    "t.yaml:3: not valid YAML: while parsing a block mapping, did not find expected key; "
	    "check the indentation and quotes there and in the line above");
	refused("serve:\n\tlisten: a\n",
		"t.yaml:2: not valid YAML: while scanning for the next token, found character that "
		"cannot start any token; check the indentation and quotes there and in the line "
		"above");
	refused_bytes(binary, sizeof(binary), NULL,
		      "t.yaml:1: not text: control characters are not allowed; is it the right "
		      "file?");
	refused("a: 1\nb: \xff\n",
		"t.yaml:2: not text: invalid leading UTF-8 octet; is it the right file?");
}

static void test_bombs(void **state)
{
	size_t size = CONFIG_FILE_MAX_BYTES;
	char *big = test_malloc(size), *p = big;

	refused("agent: &a [x,x]\nlog: &b [*a,*a]\n",
		"t.yaml:1: anchors and aliases (& and *) are not accepted; write the value out, or "
		"in quotes");
	refused("log:\n  level: *a\n",
		"t.yaml:2: anchors and aliases (& and *) are not accepted; write the value out, or "
		"in quotes");
	memset(big, '[', size);
	refused_bytes(big, size, NULL,
		      "t.yaml:1: expected sections, such as \"serve:\", not a list");
	memset(big, '{', size);
	refused_bytes(big, size, NULL, "t.yaml:1: a key must be a word, not a mapping or a list");
	for (int i = 0; p + 12 < big + size; i++)
		p += sprintf(p, "k%d:\n", i);
	refused_bytes(big, p - big, NULL,
		      "t.yaml:1025: more keys than there are options; is it the right file?");
	memset(big, 'a', size);
	memcpy(big, "agent: {user: ", 14);
	big[size - 1] = '}';
	refused_bytes(big, size, NULL, "t.yaml:1: agent.user is too long");
	test_free(big);
}

static void test_listen(void **state)
{
	static const char *const good[] = {"127.0.0.1:8000", "0.0.0.0:0", "[::]:65535"};
	static const char *const bad[] = {"8000",	":8000",	 "localhost:8000",
					  "1.2.3.4:",	"1.2.3.4:x",	 "1.2.3:80",
					  "::1:80",	"[::1]",	 "",
					  "1.2.3.4:+1", "1.2.3.4:65536", "[1.2.3.4]:1",
					  "]:1",	"1.2.3.4:1 ",	 "[::1:80",
					  "[]:1"};
	struct config *c = parse("", NULL);
	char err[600];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(config_set(c, "serve", "listen", good[i], err, sizeof(err)), 0);
		assert_string_equal(c->serve.listen, good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(config_set(c, "serve", "listen", bad[i], err, sizeof(err)),
				 -EINVAL);
		assert_string_equal(c->serve.listen, "[::]:65535");
	}
	config_set(c, "serve", "listen", "localhost:80", err, sizeof(err));
	assert_string_equal(err, "serve.listen: \"localhost:80\" is not an address and port; write "
				 "127.0.0.1:8000, [::1]:8000, or 0.0.0.0:8000 for every address");
	config_free(c);
}

static void test_user(void **state)
{
	refused("agent: {user: root}",
		"t.yaml:1: agent.user: must not be root; name an unprivileged user");
	refused("agent: {user: 'a b'}", "t.yaml:1: agent.user: \"a b\" is not a user's name; name "
					"one such as \"nobody\"");
	refused("agent: {user: ''}", "t.yaml:1: agent.user: \"\" is not a user's name; name one "
				     "such as \"nobody\"");
	refused("agent: {state_dir: ''}", "t.yaml:1: agent.state_dir: is empty; give a path");
}

static void test_regex(void **state)
{
	static const char too_large[] =
	    "is too large a regular expression; at most 512 bytes, 16 nested groups, no large "
	    "repeats and no back-references";
	/* each would take regcomp() gigabytes, or a match exponential time */
	static const char *const bombs[] = {
	    "(((((x{99}){99}){99}){99}){99})",
	    "x{255}{255}{255}{255}",
	    "x++++++++++++++++++++++++++++++++",
	    "((((((((((((((((x+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+",
	    "([^]]{200}){200}",
	    "([[:alpha:]]{200}){200}",
	    "({300}{300}{300})",
	    "(a*)\\1",
	    "((((((((((((((((((((x))))))))))))))))))))",
	    "x{,32767}{,32767}",
	};
	static const char *const fine[] = {"",
					   "^(veth[0-9a-f]+|cali.*)$",
					   "a{2,5}(b|c){3}",
					   "[]a]{2}",
					   "\\{9{2}",
					   "[[:alpha:]]+x"};
	struct config *c = parse("", NULL);
	char err[600], expected[600];

	for (size_t i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++) {
		assert_int_equal(
		    config_set(c, "host", "ignore_devices", bombs[i], err, sizeof(err)), -EINVAL);
		snprintf(expected, sizeof(expected), "host.ignore_devices: %s", too_large);
		assert_string_equal(err, expected);
	}
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		assert_int_equal(config_set(c, "host", "ignore_mounts", fine[i], err, sizeof(err)),
				 0);
	config_free(c);
	refused(
	    "host:\n  ignore_mounts: '^(/a'\n",
	    "t.yaml:2: host.ignore_mounts: \"^(/a\" is not a POSIX extended regular expression: "
	    "Unmatched ( or \\(");
}

static void test_across_options(void **state)
{
	char *env[] = {"TRIMTAB_SYSCALL_WINDOW_MS=600", NULL};
	struct config *c;
	char err[300];

	refused("syscall:\n  window_ms: 600\n",
		"t.yaml:2: syscall.window_ms is 600, above syscall.period_ms, which is 500; lower "
		"the first or raise the second");
	refused_bytes("\n", 1, env,
		      "syscall.window_ms is 600, above syscall.period_ms, which is 500; lower the "
		      "first or raise the second");
	refused("serve:\n  tls_cert: /a\n",
		"t.yaml:2: serve.tls_cert is set without serve.tls_key; set both or none");
	refused("serve:\n  tls_key: /a\n",
		"t.yaml:2: serve.tls_key is set without serve.tls_cert; set both or none");

	c = parse("syscall:\n  period_ms: 600\n", env);
	assert_int_equal(config_set(c, "syscall", "period_ms", "599", err, sizeof(err)), -EINVAL);
	assert_int_equal(c->syscall.period_ms, 600);
	assert_int_equal(config_set(c, "serve", "tls_key", "/a", err, sizeof(err)), -EINVAL);
	assert_string_equal(c->serve.tls_key, "");
	config_free(c);
}

static void test_environment(void **state)
{
	char *env[] = {"TRIMTAB_TCP_SWEEP_MS=300", "TRIMTAB_AGENT_STATE_DIR=/e=f",
		       "DATABASE_URL=postgres://x", "REDIS_URL=redis://x", "REDIS_HOST=x",
		       "AMQP_URL=amqp://x", "ENVIRONMENT=production", "TRIMTABLE=1", "trimtab_x=1",
		       /* what Kubernetes sets beside Services "trimtab" and "trimtab-page" */
		       "TRIMTAB_SERVICE_HOST=10.0.0.1", "TRIMTAB_SERVICE_PORT=80",
		       "TRIMTAB_SERVICE_PORT_HTTP=80", "TRIMTAB_PORT=tcp://10.0.0.1:80",
		       "TRIMTAB_PORT_80_TCP=tcp://10.0.0.1:80", "TRIMTAB_PORT_80_TCP_ADDR=10.0.0.1",
		       "TRIMTAB_PAGE_SERVICE_HOST=10.0.0.1", "TRIMTAB_PAGE_PORT_80_TCP_PROTO=tcp",
		       NULL};
	struct config *c = parse("tcp: {sweep_ms: 200, connections: 2000}", env);
	char long_name[300] = "TRIMTAB_";

	assert_int_equal(c->tcp.sweep_ms, 300);
	assert_int_equal(c->tcp.connections, 2000);
	assert_string_equal(c->agent.state_dir, "/e=f");
	config_free(c);

	refused_env("TRIMTAB_SERVE_LISEN=127.0.0.1:1",
		    "TRIMTAB_SERVE_LISEN: unknown variable; did you mean TRIMTAB_SERVE_LISTEN? If "
		    "not, unset it");
	refused_env("TRIMTAB_X=1", "TRIMTAB_X: unknown variable; unset it, or name an option as "
				   "TRIMTAB_SECTION_KEY");
	refused_env("TRIMTAB_PORT=8000",
		    "TRIMTAB_PORT: unknown variable; unset it, or name an option as "
		    "TRIMTAB_SECTION_KEY");
	refused_env("TRIMTAB_TCP_SWEEP_MS=", "TRIMTAB_TCP_SWEEP_MS: is empty; give a whole number "
					     "from 100 to 600000 ms");
	refused_env("TRIMTAB_TCP_ENABLED=maybe",
		    "TRIMTAB_TCP_ENABLED: \"maybe\" is wrong; give true or false");
	memset(long_name + 8, 'A', sizeof(long_name) - 9);
	long_name[sizeof(long_name) - 3] = '=';
	refused_env(long_name,
		    "TRIMTAB_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA: unknown "
		    "variable; unset it, or name an option as TRIMTAB_SECTION_KEY");
}

static void test_every_option_has_a_variable(void **state)
{
	for (size_t i = 0; i < config_options_n; i++) {
		const struct config_option *o = &config_options[i];
		char variable[600], *env[] = {variable, NULL};

		config_env_name(o, variable);
		snprintf(variable + strlen(variable), sizeof(variable) - strlen(variable), "=%s",
			 o->fallback);
		config_free(parse("", env));
	}
}

static void test_precedence(void **state)
{
	char *env[] = {"TRIMTAB_LOG_LEVEL=warn", NULL};
	char err[200];
	struct config *c = parse("log: {level: debug}", NULL);

	assert_int_equal(c->log.level, LOG_DEBUG); /* file over default */
	config_free(c);
	c = parse("log: {level: debug}", env);
	assert_int_equal(c->log.level, LOG_WARN); /* environment over file */
	assert_int_equal(config_set(c, "log", "level", "error", err, sizeof(err)), 0);
	assert_int_equal(c->log.level, LOG_ERROR); /* command line over all */
	assert_int_equal(config_set(c, "log", "levl", "error", err, sizeof(err)), -EINVAL);
	assert_string_equal(err, "unknown key \"log.levl\"; did you mean \"log.level\"?");
	assert_int_equal(config_set(c, "log", "level", "loud", err, sizeof(err)), -EINVAL);
	assert_int_equal(c->log.level, LOG_ERROR);
	config_free(c);
}

/* whatever is wrong with it or beside it, the token is not in the error */
static void test_secret_is_not_shown(void **state)
{
	static const char *const files[] = {
	    "serve: {token: \"" SECRET " \"}",
	    "serve: {token: \"" SECRET "\\n\"}",
	    "serve: {token: \"" SECRET "\\0\"}",
	    "serve: {token: [" SECRET "]}",
	    "serve: {token: {x: " SECRET "}}",
	    "serve: {tokn: " SECRET "}",
	    "serve: {token: " SECRET ", token: " SECRET "}",
	    "serve:\n  token: " SECRET "\n bad: 1\n",
	    "serve: {token: '" SECRET "\n",
	    "serve: {token: &x " SECRET "}",
	    "serve: {token: " SECRET ", listen: no}",
	    "serve: {token: " SECRET SECRET SECRET "}",
	};
	char *env[][2] = {{"TRIMTAB_SERVE_TOKEN=" SECRET "!", NULL},
			  {"TRIMTAB_SERVE_TOKN=" SECRET, NULL}};
	char err[600];
	struct config *c;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		assert_true(config_parse("t.yaml", files[i], strlen(files[i]), NULL, &c, err,
					 sizeof(err)) < 0);
		assert_null(strstr(err, "s3cr3t"));
	}
	for (size_t i = 0; i < 2; i++) {
		assert_true(config_parse("t.yaml", "", 0, env[i], &c, err, sizeof(err)) < 0);
		assert_null(strstr(err, "s3cr3t"));
	}
	refused("serve: {token: short}",
		"t.yaml:1: serve.token: is not a token (value not shown); give 16 to 64 letters, "
		"digits or -._~+/=, or leave it out to have one made");
}

/* --- files */

static char dir[] = "/tmp/trimtab-config-XXXXXX";

static int make_dir(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	return rmdir(dir);
}

static const char *path_of(const char *name)
{
	static char path[200];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void load_refused(const char *path, int error, const char *expected)
{
	struct config *c;
	char err[600], line[800];

	assert_int_equal(config_load(path, NULL, &c, err, sizeof(err)), error);
	snprintf(line, sizeof(line), "%s%s", path, expected);
	assert_string_equal(err, line);
}

static void test_file(void **state)
{
	const char *path = path_of("trimtab.yaml");
	FILE *f = fopen(path, "w");
	struct config *c;
	char err[600];

	assert_non_null(f);
	fputs(every_option, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(config_load(path, NULL, &c, err, sizeof(err)), 0);
	assert_int_equal(c->tcp.connections, 1024);
	config_free(c);

	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(config_load(path, NULL, &c, err, sizeof(err)), 0);
	assert_int_equal(c->tcp.connections, 65536);
	config_free(c);

	assert_int_equal(truncate(path, CONFIG_FILE_MAX_BYTES + 1), 0);
	load_refused(path, -EFBIG, ": is larger than 1048576 bytes; is it the right file?");
	assert_int_equal(unlink(path), 0);
}

static void test_no_file(void **state)
{
	const char *path = path_of("x");

	load_refused(
	    path, -ENOENT,
	    ": cannot open: No such file or directory; check the path and its permissions");
	load_refused(dir, -EISDIR, ": is a directory; give a YAML file");
	assert_int_equal(mkfifo(path, 0600), 0); /* must not wait for a writer */
	load_refused(path, -EINVAL, ": is not a regular file; give a YAML file");
	assert_int_equal(unlink(path), 0);
}

static void test_unreadable_file(void **state)
{
	const char *path = path_of("closed");
	int fd = open(path, O_CREAT | O_WRONLY, 0000);
	uid_t was = geteuid();

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(chmod(dir, 0711), 0);
	if (was == 0) /* root may read anything */
		assert_int_equal(seteuid(65534), 0);
	load_refused(path, -EACCES,
		     ": cannot open: Permission denied; check the path and its permissions");
	if (was == 0)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(unlink(path), 0);
}

static void test_small_error_buffer(void **state)
{
	static const char yaml[] = "serve: {lisen: 1}";
	struct config *c;
	char err[8];

	assert_int_equal(config_parse("t.yaml", yaml, strlen(yaml), NULL, &c, err, sizeof(err)),
			 -EINVAL);
	assert_string_equal(err, "t.yaml:");
	assert_int_equal(config_parse("t.yaml", yaml, strlen(yaml), NULL, &c, NULL, 0), -EINVAL);
}

static void test_distance(void **state)
{
	static const struct {
		const char *a, *b;
		size_t distance;
	} cases[] = {{"", "", 0},	{"", "abc", 3},		 {"abc", "abc", 0},
		     {"abc", "acb", 1}, {"abc", "ab", 1},	 {"abc", "xabc", 1},
		     {"abc", "abd", 1}, {"kitten", "sitting", 3}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(config_suggest_distance(cases[i].a, cases[i].b),
				 cases[i].distance);
		assert_int_equal(config_suggest_distance(cases[i].b, cases[i].a),
				 cases[i].distance);
	}
}

/* the page names every option once, in tables whose rows all have six cells */
static void test_docs(void **state)
{
	char *text = NULL, *save = NULL;
	size_t size = 0, rows = 0;
	FILE *out = open_memstream(&text, &size);

	config_print_docs(out);
	assert_int_equal(fclose(out), 0);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		size_t cells = 0;

		if (strncmp(line, "| `", 3) != 0)
			continue;
		for (char *p = line; *p; p++)
			cells += *p == '|' && (p == line || p[-1] != '\\');
		assert_int_equal(cells, 7);
		rows++;
	}
	assert_int_equal(rows, config_options_n);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_every_option_by_file),
	    cmocka_unit_test(test_files_that_say_nothing),
	    cmocka_unit_test(test_unknown_names),
	    cmocka_unit_test(test_wrong_values),
	    cmocka_unit_test(test_wrong_shapes),
	    cmocka_unit_test(test_bad_yaml),
	    cmocka_unit_test(test_bombs),
	    cmocka_unit_test(test_listen),
	    cmocka_unit_test(test_user),
	    cmocka_unit_test(test_regex),
	    cmocka_unit_test(test_across_options),
	    cmocka_unit_test(test_environment),
	    cmocka_unit_test(test_every_option_has_a_variable),
	    cmocka_unit_test(test_precedence),
	    cmocka_unit_test(test_secret_is_not_shown),
	    cmocka_unit_test(test_file),
	    cmocka_unit_test(test_no_file),
	    cmocka_unit_test(test_unreadable_file),
	    cmocka_unit_test(test_small_error_buffer),
	    cmocka_unit_test(test_distance),
	    cmocka_unit_test(test_docs),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
