/* disk.c - block I/O. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int disk_open(struct load *l, int flags, uint64_t *ret_n, uint64_t *ret_size,
		     uint64_t *ret_device_bytes, int *ret_fd)
{
	struct stat s;
	int fd;

	*ret_device_bytes = 0;
	if (!number(l->arg[1], COUNT_MAX, ret_n))
		return bad("not a count", l->arg[1]);
	if (!number(l->arg[2], SIZE_MAX_BYTES, ret_size) || !*ret_size)
		return bad("not a size in bytes (1 to 16777216)", l->arg[2]);
	fd = open(l->arg[0], flags | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(fd, &s))
		return fail(errno, l->arg[0]);
	if (S_ISBLK(s.st_mode) && ioctl(fd, BLKGETSIZE64, ret_device_bytes))
		return fail(errno, l->arg[0]);
	if (!S_ISBLK(s.st_mode) && l->read)
		*ret_device_bytes = (uint64_t)s.st_size;
	if (*ret_device_bytes && *ret_device_bytes < *ret_size)
		return fail(ENOSPC, "smaller than one transfer");
	*ret_fd = fd;
	return 0;
}

/* --direct: each transfer is one request while SIZE is at most the device's max_sectors_kb. Devices
 * (and files being read) are gone through in order, from the start again at their end. */
int run_write(struct load *l)
{
	int flags = l->read ? O_RDONLY : O_WRONLY | O_CREAT;
	uint64_t n, size, whole, start_ns, i;
	struct timed t;
	void *buffer;
	int fd, r;

	flags |= (l->direct ? O_DIRECT : 0) | (l->dsync ? O_DSYNC : 0);
	r = disk_open(l, flags, &n, &size, &whole, &fd);
	if (r)
		return r;
	if (!timed_new(&t, n))
		return 2;
	if (l->direct && size % 512)
		return bad("not a multiple of 512, as --direct needs", l->arg[2]);
	if (posix_memalign(&buffer, 4096, size))
		return fail(ENOMEM, "buffer");
	memset(buffer, 0x5a, size);
	start_ns = now_ns();
	for (i = 0; i < n; i++) {
		off_t at = (off_t)((whole ? i % (whole / size) : i) * size);
		uint64_t call_ns = now_ns();
		ssize_t moved =
		    l->read ? pread(fd, buffer, size, at) : pwrite(fd, buffer, size, at);

		t.ns[t.n++] = now_ns() - call_ns;
		if (moved != (ssize_t)size)
			return fail(moved < 0 ? errno : EIO, l->arg[0]);
		if (l->fsync && fsync(fd))
			return fail(errno, "fsync");
	}
	free(buffer);
	close(fd);
	printf("{\"command\":\"write\",\"op\":\"%s\",\"direct\":%s,\"ios\":%" PRIu64
	       ",\"bytes\":%" PRIu64 ",\"fsyncs\":%" PRIu64,
	       l->read ? "read" : "write", l->direct ? "true" : "false", i, i * size,
	       l->fsync ? i : 0);
	timed_print(&t);
	return done(start_ns);
}

int run_discard(struct load *l)
{
	uint64_t n, size, whole, start_ns, i;
	int fd, r;

	r = disk_open(l, O_WRONLY, &n, &size, &whole, &fd);
	if (r)
		return r;
	if (!whole)
		return fail(ENOTBLK, l->arg[0]);
	start_ns = now_ns();
	for (i = 0; i < n; i++) {
		uint64_t range[2] = {i % (whole / size) * size, size};

		if (ioctl(fd, BLKDISCARD, range))
			return fail(errno, l->arg[0]);
	}
	close(fd);
	printf("{\"command\":\"discard\",\"ios\":%" PRIu64 ",\"bytes\":%" PRIu64, i, i * size);
	return done(start_ns);
}
