#define _GNU_SOURCE
#include "request_tls_events.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GROUP "trimtab_" /* and the keeper's pid */
#define EVENTS_FILE "uprobe_events"

#define NONE (-1)
#define BROKEN (-2) /* it may be there */

const char *const tls_programs[TLS_PLACES] = {
    [TLS_READ] = "request_tls_read",	       [TLS_READ_EX] = "request_tls_read_ex",
    [TLS_WRITE] = "request_tls_write",	       [TLS_WRITE_EX] = "request_tls_write_ex",
    [TLS_WRITE_EX2] = "request_tls_write_ex2", [TLS_RETURN] = "request_tls_return",
    [TLS_HANDSHAKE] = "request_tls_handshake", [TLS_FREE] = "request_tls_free",
};

/* --- tracefs */

static int mount_unseen(void)
{
	int fs = fsopen("tracefs", FSOPEN_CLOEXEC), fd;

	if (fs < 0)
		return -errno;
	fd = fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0)
		 ? -1
		 : fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	if (fd < 0)
		fd = -errno;
	close(fs);
	return fd;
}

static int open_mounted(void)
{
	static const char *const places[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		int fd = open(places[i], O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (fd >= 0 && !faccessat(fd, EVENTS_FILE, W_OK, 0))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -ENOENT;
}

/* One line; the file takes one a write. */
static int tell(int tracefs, const char *line)
{
	int fd = openat(tracefs, EVENTS_FILE, O_WRONLY | O_APPEND | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, line, strlen(line)) < 0)
		err = -errno;
	close(fd);
	return err;
}

/* The name of an event "p:GROUP/NAME ..." whose group is that of a keeper that is gone. */
static bool is_left_over(const char *line, char *ret, size_t size)
{
	size_t n = strcspn(line, " \n");
	pid_t pid;

	if (n < 2 || n - 1 > size || strncmp(line + 2, GROUP, strlen(GROUP)) != 0)
		return false;
	pid = atoi(line + 2 + strlen(GROUP));
	if (pid > 0 && pid != getpid() && (!kill(pid, 0) || errno != ESRCH))
		return false;
	snprintf(ret, size, "%.*s", (int)n - 2, line + 2);
	return true;
}

static void tidy(int tracefs)
{
	char line[512], name[120], command[130];
	int fd = openat(tracefs, EVENTS_FILE, O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");

	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		if (!is_left_over(line, name, sizeof(name)))
			continue;
		snprintf(command, sizeof(command), "-:%s\n", name);
		tell(tracefs, command);
	}
	fclose(f);
}

int request_tls_tracefs(void)
{
	int fd = open_mounted();

	if (fd < 0)
		fd = mount_unseen();
	if (fd >= 0)
		tidy(fd);
	return fd;
}

/* --- events of a file */

static void name_event(char ret[64], unsigned number, enum tls_place place)
{
	snprintf(ret, 64, GROUP "%d/file%u_place%d", getpid(), number, place);
}

static int read_id(int tracefs, const char *event)
{
	char path[96], text[16] = "";
	int fd, n;

	snprintf(path, sizeof(path), "events/%s/id", event);
	fd = openat(tracefs, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 ? atoi(text) : -EIO;
}

/* All offsets of a place are one event. The file is told by its descriptor here. */
static int define(int tracefs, int fd, unsigned number, enum tls_place place,
		  const struct tls_symbols *s)
{
	char event[64], line[160];
	int err = 0;

	name_event(event, number, place);
	for (unsigned i = 0; i < s->place[place].n && !err; i++) {
		snprintf(line, sizeof(line), "%c:%s /proc/self/fd/%d:0x%llx\n",
			 place == TLS_RETURN ? 'r' : 'p', event, fd,
			 (unsigned long long)s->place[place].offset[i]);
		err = tell(tracefs, line);
	}
	return err ?: read_id(tracefs, event);
}

static int open_event(uint32_t type, uint64_t config, pid_t pid, bool inherit)
{
	struct perf_event_attr attr = {.type = type,
				       .size = sizeof(attr),
				       .config = config,
				       .disabled = 1,
				       .inherit = inherit};
	int fd = syscall(SYS_perf_event_open, &attr, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int request_tls_events_guard(pid_t pid)
{
	return open_event(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_DUMMY, pid, false);
}

static int hold(int id, int program)
{
	int fd = open_event(PERF_TYPE_TRACEPOINT, id, getpid(), false), err;

	if (fd < 0 || !ioctl(fd, PERF_EVENT_IOC_SET_BPF, program))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int request_tls_events_make(int tracefs, int fd, unsigned number, const struct tls_symbols *symbols,
			    const int programs[TLS_PLACES], struct tls_events *ret)
{
	struct tls_events e = {.number = number};
	int err = 0;

	memset(e.id, -1, sizeof(e.id));
	memset(e.holder, -1, sizeof(e.holder));
	for (int i = 0; i < TLS_PLACES && !err; i++) {
		if (!symbols->place[i].n)
			continue;
		err = define(tracefs, fd, number, i, symbols);
		e.id[i] = err < 0 ? BROKEN : err;
		if (err >= 0)
			err = e.holder[i] = hold(e.id[i], programs[i]);
		if (err > 0)
			err = 0;
	}
	if (err)
		request_tls_events_drop(tracefs, &e);
	else
		*ret = e;
	return err;
}

void request_tls_events_drop(int tracefs, struct tls_events *e)
{
	char event[64], line[70];

	for (int i = 0; i < TLS_PLACES; i++) {
		if (e->holder[i] >= 0)
			close(e->holder[i]);
		if (e->id[i] == NONE)
			continue;
		name_event(event, e->number, i);
		snprintf(line, sizeof(line), "-:%s\n", event);
		tell(tracefs, line);
	}
	memset(e->id, -1, sizeof(e->id));
	memset(e->holder, -1, sizeof(e->holder));
}

int request_tls_events_attach(const struct tls_events *e, pid_t pid, int ret_fds[TLS_PLACES])
{
	int err = 0;

	memset(ret_fds, -1, TLS_PLACES * sizeof(*ret_fds));
	for (int i = 0; i < TLS_PLACES && !err; i++) {
		if (e->id[i] < 0)
			continue;
		ret_fds[i] = open_event(PERF_TYPE_TRACEPOINT, e->id[i], pid, true);
		if (ret_fds[i] < 0)
			err = ret_fds[i];
	}
	if (err)
		request_tls_events_detach(ret_fds);
	return err;
}

void request_tls_events_detach(int fds[TLS_PLACES])
{
	for (int i = 0; i < TLS_PLACES; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	memset(fds, -1, TLS_PLACES * sizeof(*fds));
}
