/* privilege.h - what a role gives up before it does anything: root, capabilities, most syscalls.
 *
 * After privilege_drop() the process is the given unprivileged user, has no_new_privs, no
 * capability (but CAP_BPF where this kernel needs it to read maps: before 5.19 or so) and a seccomp
 * filter that answers EPERM to all syscalls but those of a network server. It gets SIGTERM when its
 * parent dies.
 */
#ifndef TRIMTAB_PRIVILEGE_H
#define TRIMTAB_PRIVILEGE_H

#include <stddef.h>
#include <sys/types.h>

struct privilege_user {
	uid_t uid;
	gid_t gid;
};

/* Looks the user up. 0 or -ENOENT. */
int privilege_user(const char *name, struct privilege_user *ret);
/* map_fd: a BPF map that the role has to read, -1 for none. 0 or -errno, and a line in err. */
int privilege_drop(const struct privilege_user *user, int map_fd, char *err, size_t err_size);

#endif
