/* host_file.c - reads the files of /proc that the host parts need at each tick.
 *
 * Each is opened once and read again from offset 0: the kernel writes seq files anew for each such
 * read, and an open costs more than the read of a small one. One that cannot be opened or read is
 * tried again at the next slow tick, since a module loaded later can bring it (conntrack).
 * Bounds: HOST_FILES descriptors, HOST_BUFFER_BYTES; of a longer file the whole lines that fit are
 * used and the rest is counted.
 */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const paths[HOST_FILES] = {
    [HOST_STAT] = "stat",
    [HOST_LOADAVG] = "loadavg",
    [HOST_UPTIME] = "uptime",
    [HOST_MEMINFO] = "meminfo",
    [HOST_VMSTAT] = "vmstat",
    [HOST_PRESSURE_CPU] = "pressure/cpu",
    [HOST_PRESSURE_MEMORY] = "pressure/memory",
    [HOST_PRESSURE_IO] = "pressure/io",
    [HOST_PRESSURE_IRQ] = "pressure/irq",
    [HOST_DISKSTATS] = "diskstats",
    [HOST_MOUNTINFO] = "self/mountinfo",
    [HOST_NET_DEV] = "net/dev",
    [HOST_NETSTAT] = "net/netstat",
    [HOST_SNMP] = "net/snmp",
    [HOST_SNMP6] = "net/snmp6",
    [HOST_SOCKSTAT] = "net/sockstat",
    [HOST_SOCKSTAT6] = "net/sockstat6",
    [HOST_SOFTNET] = "net/softnet_stat",
    [HOST_ARP_CACHE] = "net/stat/arp_cache",
    [HOST_CONNTRACK] = "net/stat/nf_conntrack",
    [HOST_CONNTRACK_COUNT] = "sys/net/netfilter/nf_conntrack_count",
    [HOST_CONNTRACK_MAX] = "sys/net/netfilter/nf_conntrack_max",
    [HOST_FILE_NR] = "sys/fs/file-nr",
    [HOST_ENTROPY] = "sys/kernel/random/entropy_avail",
    [HOST_ENTROPY_POOL] = "sys/kernel/random/poolsize",
    [HOST_THREADS_MAX] = "sys/kernel/threads-max",
};

/* for a read of /proc/sys the kernel clears a buffer as large as was asked for, 15 us at 256 KiB */
#define SYSCTL_BYTES 256

enum { NEVER_OPENED = -2, NOT_OPEN = -1 };

void host_file_init(struct host *h)
{
	for (size_t i = 0; i < HOST_FILES; i++)
		h->fd[i] = NEVER_OPENED;
}

void host_file_close(struct host *h)
{
	for (size_t i = 0; i < HOST_FILES; i++)
		if (h->fd[i] >= 0)
			close(h->fd[i]);
	host_file_init(h);
}

void host_file_path(const struct host *h, enum host_file file, char *ret, size_t size)
{
	snprintf(ret, size, "%s/%s", h->paths.proc, paths[file]);
}

/* Reads to the end or until the buffer is full. ret_cut: there was more. */
static int read_all(int fd, char *buffer, size_t size, struct host_text *ret, bool *ret_cut)
{
	size_t used = 0;
	ssize_t n = 1;
	bool cut;

	while (used < size) {
		n = pread(fd, buffer + used, size - used, (off_t)used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	if (n < 0)
		return -errno;
	cut = used == size;
	if (cut)
		while (used > 0 && buffer[used - 1] != '\n')
			used--;
	*ret = (struct host_text){.at = buffer, .end = buffer + used};
	*ret_cut = cut;
	return 0;
}

int host_file_read(struct host *h, enum host_file file, struct host_text *ret)
{
	size_t size = strncmp(paths[file], "sys/", 4) == 0 ? SYSCTL_BYTES : HOST_BUFFER_BYTES;
	int *fd = &h->fd[file], err;
	char path[HOST_PATH_MAX];
	bool cut;

	if (*fd == NEVER_OPENED || (*fd == NOT_OPEN && h->slow)) {
		host_file_path(h, file, path, sizeof(path));
		*fd = open(path, O_RDONLY | O_CLOEXEC);
		if (*fd < 0)
			return *fd = NOT_OPEN, -errno;
	}
	if (*fd < 0)
		return -ENOENT;
	err = read_all(*fd, h->buffer, size, ret, &cut);
	if (err < 0) {
		close(*fd);
		*fd = NOT_OPEN;
		return err;
	}
	h->lost[HOST_LOST_TEXT] += cut;
	return 0;
}

int host_file_slurp(const char *path, char *buffer, size_t size, struct host_text *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;
	bool cut;

	if (fd < 0)
		return -errno;
	err = read_all(fd, buffer, size, ret, &cut);
	close(fd);
	return err;
}

int host_file_number(const char *root, const char *name, double *ret)
{
	char path[HOST_PATH_MAX], buffer[64];
	struct host_text text;
	int err;

	if (snprintf(path, sizeof(path), "%s/%s", root, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	err = host_file_slurp(path, buffer, sizeof(buffer), &text);
	if (err < 0)
		return err;
	return host_text_decimal(&text, ret) ? 0 : -EINVAL;
}
