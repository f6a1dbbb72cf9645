#define _GNU_SOURCE
#include "probe_reason.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "log.h"

#define LOG_TAIL 800 /* bytes of a long message that go to the log */

/* libbpf's callback carries no context, so what it says is kept here; keeper only, one thread. */
static struct {
	char first[160]; /* the first warning: mostly which program or map failed */
	char verifier[160]; /* the last line of the verifier's log before its summary */
} said;

void probe_reason_begin(void)
{
	memset(&said, 0, sizeof(said));
}

/* Keeps the line that the verifier gave up with: the last one before "processed N insns". */
static void keep_verifier_line(const char *text)
{
	const char *end = strstr(text, "\nprocessed "), *start;

	if (!end)
		return;
	for (start = end; start > text && start[-1] != '\n'; start--)
		;
	snprintf(said.verifier, sizeof(said.verifier), "%.*s", (int)(end - start), start);
}

int probe_reason_print(enum libbpf_print_level level, const char *format, va_list args)
{
	char *text;
	int n;

	if (level == LIBBPF_DEBUG)
		return 0;
	n = vasprintf(&text, format, args);
	if (n < 0)
		return 0;
	keep_verifier_line(text);
	/* a verifier's log tells at its end why */
	log_debug("libbpf", "%s", n > LOG_TAIL ? text + n - LOG_TAIL : text);
	if (level == LIBBPF_WARN && !said.first[0] && !strstr(text, "BEGIN PROG LOAD LOG"))
		snprintf(said.first, sizeof(said.first), "%.*s", (int)strcspn(text, "\n"), text);
	free(text);
	return 0;
}

/* The active word of "none [integrity] confidentiality"; "" if the kernel has no lockdown. */
static void read_lockdown(char *ret, size_t size)
{
	char text[80] = "", *open;
	FILE *f = fopen("/sys/kernel/security/lockdown", "re");

	*ret = '\0';
	if (!f)
		return;
	if (fgets(text, sizeof(text), f) && (open = strchr(text, '[')))
		snprintf(ret, size, "%.*s", (int)strcspn(open + 1, "]"), open + 1);
	fclose(f);
}

static void explain_eperm(char *ret, size_t size)
{
	struct rlimit limit = {};
	char lockdown[24];

	read_lockdown(lockdown, sizeof(lockdown));
	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (!strcmp(lockdown, "confidentiality"))
		snprintf(ret, size,
			 "the kernel is locked down (confidentiality): boot with lockdown=integrity or none");
	else if (geteuid() != 0)
		snprintf(ret, size, "not root: run as root, or with CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN");
	else if (limit.rlim_cur != RLIM_INFINITY)
		snprintf(ret, size,
			 "missing CAP_BPF/CAP_PERFMON, BPF refused by a security module, or (kernels before "
			 "5.11) RLIMIT_MEMLOCK of %llu KiB too low: set LimitMEMLOCK=infinity",
			 (unsigned long long)limit.rlim_cur / 1024);
	else
		snprintf(ret, size, "missing CAP_BPF/CAP_PERFMON, or refused by a security module");
}

void probe_reason(int err, char *ret, size_t size)
{
	char advice[200] = "";

	if (err == -EPERM)
		explain_eperm(advice, sizeof(advice));
	snprintf(ret, size, "%s%s%s%s%s", strerror(-err), advice[0] ? "; " : "", advice,
		 said.verifier[0] || said.first[0] ? ": " : "",
		 said.verifier[0] ? said.verifier : said.first);
}
