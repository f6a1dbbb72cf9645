#define _GNU_SOURCE
#include "probe_reason.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/resource.h>
#include <unistd.h>
#include "log.h"
#include "shared.h"

#ifndef CAP_BPF
#define CAP_PERFMON 38
#define CAP_BPF 39
#endif

#define LOG_TAIL 800 /* bytes of a long message that go to the log */

/* libbpf's callback carries no context, so what it says is kept here; keeper only, one thread. */
static struct {
	char first[160];    /* the first warning: mostly which program or map failed */
	char verifier[160]; /* the last line of the verifier's log before its summary */
} said;

void probe_reason_begin(void)
{
	memset(&said, 0, sizeof(said));
}

void probe_reason_say(const char *what)
{
	snprintf(said.first, sizeof(said.first), "%s", what);
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

static bool has_capability(cap_value_t capability)
{
	cap_flag_value_t value = CAP_CLEAR;
	cap_t caps = cap_get_proc();

	if (caps)
		cap_get_flag(caps, capability, CAP_EFFECTIVE, &value);
	cap_free(caps);
	return value == CAP_SET;
}

/* CAP_SYS_ADMIN stands for both, and is all there is before 5.8. */
static bool may_trace(void)
{
	return has_capability(CAP_SYS_ADMIN) ||
	       (has_capability(CAP_BPF) && has_capability(CAP_PERFMON));
}

static void explain_eperm(char *ret, size_t size)
{
	struct rlimit limit = {};

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (!may_trace())
		snprintf(ret, size, "%s: run as root, or with CAP_BPF and CAP_PERFMON",
			 geteuid() ? "not root" : "CAP_BPF or CAP_PERFMON is missing");
	else if (strstr(said.first, "cgroup") && !has_capability(CAP_NET_ADMIN))
		snprintf(ret, size, "CAP_NET_ADMIN is missing, to see requests in packets");
	else if (limit.rlim_cur != RLIM_INFINITY)
		snprintf(
		    ret, size,
		    "refused by a seccomp profile or a security module, or (kernels before 5.11) "
		    "RLIMIT_MEMLOCK of %llu KiB is too low: set LimitMEMLOCK=infinity",
		    (unsigned long long)limit.rlim_cur / 1024);
	else
		snprintf(ret, size,
			 "refused by a seccomp profile or a security module: allow bpf(2)");
}

/* What to do, where the error alone says what is wrong; libbpf's words then add nothing. */
static const struct {
	int err;
	const char *advice;
} advices[] = {
    {EMFILE, "raise the limit of open files: ulimit -n, LimitNOFILE="},
    {ENOMEM,
     "no memory for the maps: lower tcp.connections, or raise the memory limit of its cgroup"},
    {ENOSYS, "this kernel has no BPF: it needs CONFIG_BPF_SYSCALL=y"},
};

/* Lockdown shows as EPERM, or (5.10) as EINVAL for a helper that reads kernel memory. */
static bool explain_lockdown(int err, char *ret, size_t size)
{
	char lockdown[24];

	read_lockdown(lockdown, sizeof(lockdown));
	if ((err != -EPERM && err != -EINVAL) || strcmp(lockdown, "confidentiality") != 0)
		return false;
	snprintf(
	    ret, size,
	    "the kernel is locked down (confidentiality): boot with lockdown=integrity or none");
	return true;
}

void probe_reason(int err, char *ret, size_t size)
{
	char advice[SHARED_REASON_MAX] = "";
	const char *detail = said.verifier[0] ? said.verifier : said.first;

	if (!explain_lockdown(err, advice, sizeof(advice)) && err == -EPERM)
		explain_eperm(advice, sizeof(advice));
	for (size_t i = 0; i < sizeof(advices) / sizeof(*advices); i++)
		if (advices[i].err == -err)
			snprintf(advice, sizeof(advice), "%s", advices[i].advice);
	if (advice[0])
		snprintf(ret, size, "%s; %s", strerror(-err), advice);
	else
		snprintf(ret, size, "%s%s%s", strerror(-err), detail[0] ? ": " : "", detail);
}
