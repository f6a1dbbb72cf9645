#define _GNU_SOURCE
#include "privilege.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <bpf/bpf.h>

#ifndef CAP_BPF
#define CAP_BPF 39
#endif

/* Not with AddressSanitizer, whose leak check at the end needs ptrace. */
#ifdef __SANITIZE_ADDRESS__
#define FILTER false
#elif defined(__has_feature)
#define FILTER (!__has_feature(address_sanitizer))
#else
#define FILTER true
#endif

/* What a loop over sockets, files under /proc and a database needs; names unknown to this
 * libseccomp are left out. */
static const char *const allowed[] = {
    "accept",
    "accept4",
    "access",
    "bind",
    "bpf",
    "brk",
    "clock_getres",
    "clock_gettime",
    "clock_nanosleep",
    "clone",
    "clone3",
    "close",
    "close_range",
    "connect",
    "dup",
    "dup2",
    "dup3",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd2",
    "exit",
    "exit_group",
    "faccessat",
    "faccessat2",
    "fallocate",
    "fchmod",
    "fcntl",
    "fdatasync",
    "flock",
    "fstat",
    "fstatfs",
    "fsync",
    "ftruncate",
    "futex",
    "getcwd",
    "getdents64",
    "getegid",
    "geteuid",
    "getgid",
    "getpeername",
    "getpid",
    "getppid",
    "getrandom",
    "getrlimit",
    "getrusage",
    "getsockname",
    "getsockopt",
    "gettid",
    "gettimeofday",
    "getuid",
    "ioctl",
    "listen",
    "lseek",
    "lstat",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "nanosleep",
    "newfstatat",
    "open",
    "openat",
    "pipe2",
    "poll",
    "ppoll",
    "pread64",
    "prlimit64",
    "pwrite64",
    "read",
    "readlink",
    "readlinkat",
    "readv",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "rename",
    "renameat",
    "renameat2",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigtimedwait",
    "sched_getaffinity",
    "sched_yield",
    "select",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "set_robust_list",
    "setsockopt",
    "shutdown",
    "sigaltstack",
    "socket",
    "socketpair",
    "stat",
    "statfs",
    "statx",
    "sysinfo",
    "tgkill",
    "timerfd_create",
    "timerfd_settime",
    "umask",
    "uname",
    "unlink",
    "unlinkat",
    "write",
    "writev",
    "adjtimex",
    "clock_adjtime",
};

int privilege_user(const char *name, struct privilege_user *ret)
{
	struct passwd *pw = getpwnam(name);

	if (!pw)
		return -ENOENT;
	*ret = (struct privilege_user){.uid = pw->pw_uid, .gid = pw->pw_gid};
	return 0;
}

static int filter_syscalls(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int err = -ENOMEM, nr;

	if (!ctx)
		return err;
	for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++) {
		nr = seccomp_syscall_resolve_name(allowed[i]);
		if (nr == __NR_SCMP_ERROR)
			continue;
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);
		if (err)
			goto out;
	}
	err = seccomp_load(ctx);
out:
	seccomp_release(ctx);
	return err;
}

/* Leaves the process with no capability, or with CAP_BPF alone. */
static int set_capabilities(bool keep_bpf)
{
	const cap_value_t bpf = CAP_BPF;
	cap_t caps = cap_init();
	int err = 0;

	if (!caps)
		return -ENOMEM;
	if (keep_bpf && (cap_set_flag(caps, CAP_EFFECTIVE, 1, &bpf, CAP_SET) ||
			 cap_set_flag(caps, CAP_PERMITTED, 1, &bpf, CAP_SET)))
		err = -errno;
	if (!err && cap_set_proc(caps))
		err = -errno;
	cap_free(caps);
	return err;
}

/* Whether reading a map takes CAP_BPF on this kernel; to be asked without any capability in effect.
 */
static bool map_needs_capability(int map_fd)
{
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);

	return bpf_obj_get_info_by_fd(map_fd, &info, &size) != 0 && errno == EPERM;
}

int privilege_drop(const struct privilege_user *user, int map_fd, char *err, size_t err_size)
{
	const char *what = "prctl(PR_SET_KEEPCAPS)";
	bool keep_bpf;
	int e;

	if (geteuid() == 0) {
		if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
			goto failed;
		what = "setgroups";
		if (setgroups(0, NULL))
			goto failed;
		what = "setresgid";
		if (setresgid(user->gid, user->gid, user->gid))
			goto failed;
		what = "setresuid"; /* clears the effective set, keeps the permitted one */
		if (setresuid(user->uid, user->uid, user->uid))
			goto failed;
		keep_bpf = map_fd >= 0 && map_needs_capability(map_fd);
		what = "cap_set_proc";
		errno = -set_capabilities(keep_bpf);
		if (errno)
			goto failed;
	}
	what = "prctl(PR_SET_PDEATHSIG)"; /* setresuid() resets it, the filter forbids it */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0))
		goto failed;
	what = "prctl(PR_SET_NO_NEW_PRIVS)";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		goto failed;
	what = "seccomp";
	errno = FILTER ? -filter_syscalls() : 0;
	if (errno)
		goto failed;
	return 0;
failed:
	e = errno;
	snprintf(err, err_size, "%s: %s", what, strerror(e));
	return -e;
}
