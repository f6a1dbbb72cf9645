/* config_options.c - the table of options, and the page that documents it.
 *
 * A new option is one field in struct config and one entry here. The options of a section stand
 * together. What `reload` promises, the code that reads the option has to keep.
 */
#include <string.h>
#include "config_private.h"

static const char *const log_formats[] = {[LOG_TEXT] = "text", [LOG_JSON] = "json", NULL};
/* in the order of enum log_level */
static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const syscall_modes[] = {
    [SYSCALL_BLOCKED] = "blocked", [SYSCALL_WINDOWS] = "windows", [SYSCALL_EXACT] = "exact", NULL};
static const char *const request_ways[] = {[REQUEST_WAY_AUTO] = "auto",
					   [REQUEST_WAY_SOCKET] = "socket",
					   [REQUEST_WAY_PACKET] = "packet",
					   NULL};

#define AT(field) .offset = offsetof(struct config, field)

const struct config_option config_options[] = {
    {"agent", "state_dir", OPTION_STRING, AT(agent.state_dir), .fallback = "/var/lib/trimtab",
     .check = config_check_path,
     .help = "Directory of what survives a restart: the token, the journal, the history."},
    {"agent", "user", OPTION_STRING, AT(agent.user), .fallback = "nobody",
     .check = config_check_user,
     .help = "Unprivileged user that every process but the keeper runs as."},
    {"agent", "period_ms", OPTION_UINT, AT(agent.period_ms), .fallback = "2000", .min = 100,
     .max = 60000, .unit = "ms", .reload = true,
     .help = "How often sources are read into the store."},
    {"agent", "hang_ms", OPTION_UINT, AT(agent.hang_ms), .fallback = "30000", .min = 1000,
     .max = 3600000, .unit = "ms", .reload = true,
     .help = "A process that has not run its loop for so long, and for 10 of its periods, is "
	     "killed and started anew."},
    {"agent", "series", OPTION_UINT, AT(agent.series), .fallback = "8192", .min = 256, .max = 65536,
     .help = "Room for series; what does not fit is counted and left out."},
    {"agent", "budget_ratio", OPTION_RATIO, AT(agent.budget_ratio), .fallback = "0.01",
     .min = 0.0001, .max = 1, .reload = true,
     .help = "Share of the node's CPU that the BPF programs may use before detail is shed."},

    {"log", "format", OPTION_ENUM, AT(log.format), .fallback = "text", .values = log_formats,
     .reload = true, .help = "How a log line is written, to standard error."},
    {"log", "level", OPTION_ENUM, AT(log.level), .fallback = "info", .values = log_levels,
     .reload = true, .help = "The least severe lines that are written."},

    {"serve", "listen", OPTION_STRING, AT(serve.listen), .fallback = "127.0.0.1:8000",
     .check = config_check_listen, .reload = true,
     .help = "Address and port of the page, the API and /metrics; port 0 takes a free one."},
    {"serve", "token", OPTION_STRING, AT(serve.token), .fallback = "", .secret = true,
     .check = config_check_token,
     .help = "Bearer token for every POST and for reading from off the node; when empty, it is "
	     "made at the first start in state_dir/token."},
    {"serve", "tls_cert", OPTION_STRING, AT(serve.tls_cert), .fallback = "", .reload = true,
     .help = "File of the TLS certificate chain (PEM); with tls_key, HTTP becomes HTTPS."},
    {"serve", "tls_key", OPTION_STRING, AT(serve.tls_key), .fallback = "", .reload = true,
     .help = "File of the certificate's private key (PEM)."},

    {"syscall", "enabled", OPTION_BOOL, AT(syscall.enabled), .fallback = "true",
     .help = "Whether the syscall probe is loaded."},
    {"syscall", "mode", OPTION_ENUM, AT(syscall.mode), .fallback = "windows",
     .values = syscall_modes, .reload = true,
     .help = "blocked: only the time blocked inside calls; windows: also every call in "
	     "randomly placed windows; exact: also every call, all the time."},
    {"syscall", "window_ms", OPTION_UINT, AT(syscall.window_ms), .fallback = "50", .min = 1,
     .max = 1000, .unit = "ms", .reload = true, .help = "How long a window is; at most period_ms."},
    {"syscall", "period_ms", OPTION_UINT, AT(syscall.period_ms), .fallback = "500", .min = 10,
     .max = 60000, .unit = "ms", .reload = true,
     .help = "From window to window on average; the pauses between them are random."},

    {"disk", "enabled", OPTION_BOOL, AT(disk.enabled), .fallback = "true",
     .help = "Whether the disk probe is loaded."},

    {"sched", "enabled", OPTION_BOOL, AT(sched.enabled), .fallback = "true",
     .help = "Whether the scheduler probe is loaded."},

    {"tcp", "enabled", OPTION_BOOL, AT(tcp.enabled), .fallback = "true",
     .help = "Whether the TCP probe is loaded."},
    {"tcp", "sweep_ms", OPTION_UINT, AT(tcp.sweep_ms), .fallback = "10000", .min = 100,
     .max = 600000, .unit = "ms", .reload = true,
     .help = "How often the open connections are sampled."},
    {"tcp", "connections", OPTION_UINT, AT(tcp.connections), .fallback = "65536", .min = 1024,
     .max = 1048576, .help = "Room for tracked connections; what does not fit is counted."},

    {"request", "enabled", OPTION_BOOL, AT(request.enabled), .fallback = "true",
     .help = "Whether the request probe is loaded: HTTP, Redis, PostgreSQL and AMQP requests."},
    {"request", "outbound", OPTION_BOOL, AT(request.outbound), .fallback = "true",
     .help = "Whether requests made from this node are watched, too, not only those served here."},
    {"request", "connections", OPTION_UINT, AT(request.connections), .fallback = "65536",
     .min = 1024, .max = 1048576,
     .help = "Room for connections whose requests are followed; the others are counted."},
    {"request", "way", OPTION_ENUM, AT(request.way), .fallback = "auto", .values = request_ways,
     .help = "How requests are seen: in the calls on sockets, in the packets, or (auto) in the "
	     "calls where the kernel has the hooks for it."},
    {"request", "slow_ms", OPTION_UINT, AT(request.slow_ms), .fallback = "500", .min = 0,
     .max = 3600000, .unit = "ms", .reload = true,
     .help = "Requests that take longer are kept as samples with where their time went, in "
	     "/api/services/slow; 0: none."},
    {"request", "untimed", OPTION_STRING, AT(request.untimed), .fallback = "",
     .check = config_check_regex, .reload = true,
     .help = "Requests that wait by design, such as long polls, are counted, not timed: those "
	     "whose \"SERVICE OPERATION\", as the series name them, matches this POSIX extended "
	     "regular expression (empty: none)."},
    {"request", "tls", OPTION_STRING, AT(request.tls), .fallback = "", .check = config_check_regex,
     .reload = true,
     .help = "Processes whose requests inside TLS by OpenSSL are seen: those whose name, or the "
	     "path of whose cgroup (with the systemd unit, container or pod), matches this POSIX "
	     "extended regular expression (empty: none). Costs each call of SSL_read() and "
	     "SSL_write() some us."},

    {"host", "enabled", OPTION_BOOL, AT(host.enabled), .fallback = "true", .reload = true,
     .help = "Whether the host basics (CPU, memory, disks, network) are read from /proc."},
    {"host", "ignore_mounts", OPTION_STRING, AT(host.ignore_mounts),
     .fallback = "^/(dev|proc|sys|run/.+|var/lib/docker/.+|var/lib/kubelet/.+|"
		 "var/lib/containers/.+)($|/)",
     .check = config_check_regex, .reload = true,
     .help = "Mount points whose space is left out (POSIX extended regular expression; empty: "
	     "none)."},
    /* Memory disks, partitions (their disk is there) and the host ends of containers' network
     * pairs, whose random names would fill the store. The disk probe shows them all the same. */
    {"host", "ignore_devices", OPTION_STRING, AT(host.ignore_devices),
     .fallback = "^((z?ram|loop|fd|sr)[0-9]+|(h|s|v|xv)d[a-z]{1,2}[0-9]+|"
		 "(nvme[0-9]+n[0-9]+|mmcblk[0-9]+)p[0-9]+|(veth|cali|lxc)[0-9a-f]{5,})$",
     .check = config_check_regex, .reload = true,
     .help = "Block and network devices left out of the host basics (POSIX extended regular "
	     "expression; empty: none); the disk probe is not concerned."},
};

const size_t config_options_n = sizeof(config_options) / sizeof(config_options[0]);
_Static_assert(sizeof(config_options) / sizeof(config_options[0]) <= CONFIG_OPTIONS_MAX,
	       "raise CONFIG_OPTIONS_MAX");

static const char docs_head[] =
    "# Configuration\n"
    "\n"
    "One YAML file, `trimtab run --config trimtab.yaml`; every key is optional, and with no file "
    "at all\nthe defaults below hold. `trimtab check trimtab.yaml` says whether a file is right, "
    "and on which\nline it is not.\n"
    "\n"
    "```yaml\n"
    "serve:\n"
    "  listen: 127.0.0.1:8000\n"
    "syscall:\n"
    "  mode: exact\n"
    "```\n"
    "\n"
    "The environment overrides the file: `TRIMTAB_` and the section and key in upper case, as in\n"
    "`TRIMTAB_SYSCALL_MODE=exact`. The command line overrides both. On SIGHUP the file is read "
    "again;\nkeys marked \"yes\" under *SIGHUP* change at once, the others at the next start. A "
    "wrong file is\nrefused and what runs stays as it is.\n";

/* a "|" would end the table's cell */
static void print_cell(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void print_range(FILE *out, const struct config_option *o)
{
	if (o->type == OPTION_BOOL)
		fputs("`true`, `false`", out);
	else if (o->type == OPTION_ENUM)
		for (const char *const *v = o->values; *v; v++)
			fprintf(out, "%s`%s`", v == o->values ? "" : ", ", *v);
	else if (o->type == OPTION_UINT)
		fprintf(out, "%.0f to %.0f", o->min, o->max);
	else if (o->type == OPTION_RATIO)
		fprintf(out, "%g to %g", o->min, o->max);
	else
		fputs("text", out);
}

void config_print_docs(FILE *out)
{
	const char *section = "";

	fputs(docs_head, out);
	for (size_t i = 0; i < config_options_n; i++) {
		const struct config_option *o = &config_options[i];

		if (strcmp(o->section, section) != 0) {
			section = o->section;
			fprintf(out,
				"\n## %s\n\n| key | default | unit | range | SIGHUP | what |\n"
				"|---|---|---|---|---|---|\n",
				section);
		}
		fprintf(out, "| `%s.%s` | `", o->section, o->key);
		print_cell(out, o->fallback[0] ? o->fallback : "\"\"");
		fprintf(out, "` | %s | ", o->unit ? o->unit : "");
		print_range(out, o);
		fprintf(out, " | %s | ", o->reload ? "yes" : "restart");
		print_cell(out, o->help);
		fputs(" |\n", out);
	}
}
