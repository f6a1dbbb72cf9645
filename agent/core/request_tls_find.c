#define _GNU_SOURCE
#include "request_tls_find.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CGROUP_BYTES 4096

/* Names are the processes' own: only printable ASCII is passed on. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

/* Reads a file of a process, at most size - 1 bytes, and ends them with a NUL. False: it is gone.
 */
static bool read_file(pid_t pid, const char *name, char *ret, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, ret, size - 1);
	close(fd);
	if (n < 0)
		return false;
	ret[n] = '\0';
	return true;
}

/* The path in the hierarchy that tells services apart: cgroup2's or, where all are in its root,
 * that of the memory controller. Ends it with a NUL. */
static const char *path_of_cgroup(char *text)
{
	char *v2 = NULL, *memory = NULL, *line, *next = text;

	while ((line = strsep(&next, "\n"))) {
		strsep(&line, ":");
		char *controllers = strsep(&line, ":");

		if (!line)
			continue;
		if (!controllers[0])
			v2 = line;
		else if (!strcmp(controllers, "memory"))
			memory = line;
	}
	return v2 && (v2[1] || !memory) ? v2 : memory ? memory : "";
}

bool request_tls_comm(pid_t pid, char ret[TLS_COMM_MAX])
{
	if (!read_file(pid, "comm", ret, TLS_COMM_MAX))
		return false;
	ret[strcspn(ret, "\n")] = '\0';
	make_printable(ret);
	return true;
}

bool request_tls_matches(pid_t pid, const regex_t *watched, char ret_comm[TLS_COMM_MAX])
{
	char cgroup[CGROUP_BYTES];

	if (!request_tls_comm(pid, ret_comm))
		return false;
	if (!regexec(watched, ret_comm, 0, NULL, 0))
		return true;
	return read_file(pid, "cgroup", cgroup, sizeof(cgroup)) &&
	       !regexec(watched, path_of_cgroup(cgroup), 0, NULL, 0);
}

bool request_tls_origin(pid_t pid, uint64_t *ret_started, pid_t *ret_parent)
{
	unsigned long long started;
	char text[1024], *end;
	int parent;

	if (!read_file(pid, "stat", text, sizeof(text)))
		return false;
	end = strrchr(text, ')'); /* of the name, which may hold anything */
	if (!end || sscanf(end + 1,
			   " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
			   "%*d %*d %llu",
			   &parent, &started) != 2)
		return false;
	*ret_started = started;
	*ret_parent = parent;
	return true;
}

static void keep_path(struct tls_library *l, const char *path)
{
	size_t n = strlen(path);

	if (n < sizeof(l->path))
		snprintf(l->path, sizeof(l->path), "%s", path);
	else
		snprintf(l->path, sizeof(l->path), "...%s", path + n - (sizeof(l->path) - 4));
	make_printable(l->path);
}

/* libssl.so.3, and libssl-1a2b3c4d.so.1.1 as wheels of Python have it */
static bool is_libssl(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && !strncmp(name, "/libssl", 7) && strstr(name, ".so");
}

/* The path in a line of maps that maps code of OpenSSL, else NULL. */
static char *parse_mapping(char *line, unsigned long *ret_from, unsigned long *ret_to)
{
	char execute, *path;
	int at = 0;

	if (sscanf(line, "%lx-%lx %*c%*c%c%*c %*s %*s %*s %n", ret_from, ret_to, &execute, &at) <
		3 ||
	    execute != 'x' || !at)
		return NULL;
	path = line + at;
	path[strcspn(path, "\n")] = '\0';
	return is_libssl(path) ? path : NULL;
}

unsigned request_tls_libraries(pid_t pid, struct tls_library *ret, unsigned max)
{
	unsigned long from, to;
	char path[96], *line = NULL, *library;
	size_t size = 0;
	unsigned n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	for (int i = 0; i < TLS_MAPS_LINES && n < max && getline(&line, &size, f) > 0; i++) {
		library = parse_mapping(line, &from, &to);
		if (!library)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/map_files/%lx-%lx", pid, from, to);
		ret[n].fd = open(path, O_RDONLY | O_CLOEXEC);
		if (ret[n].fd < 0)
			continue;
		keep_path(&ret[n++], library);
	}
	free(line);
	fclose(f);
	return n;
}

bool request_tls_executable(pid_t pid, struct tls_library *ret)
{
	char path[64], name[512];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	ret->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (ret->fd < 0)
		return false;
	n = readlink(path, name, sizeof(name) - 1);
	name[n < 0 ? 0 : n] = '\0';
	keep_path(ret, name);
	return true;
}
