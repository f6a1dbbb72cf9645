/* request_tls_find.h - processes by name or cgroup, and the files that they have OpenSSL from.
 *
 * Inputs: /proc. Files are opened by what the process has mapped, not by a path, so that it matters
 * neither which mount namespace it is in nor whether the file was replaced since. Bounds: the first
 * TLS_MAPS_LINES mappings. Cost: 10 us a process to match, 100 us to find the files of one.
 */
#ifndef TRIMTAB_REQUEST_TLS_FIND_H
#define TRIMTAB_REQUEST_TLS_FIND_H

#include <regex.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TLS_MAPS_LINES 8192
#define TLS_PATH_MAX 96
#define TLS_COMM_MAX 17 /* with its newline, and the NUL */

struct tls_library {
	int fd;
	char path[TLS_PATH_MAX]; /* as the process sees it; one that is too long keeps its end */
};

/* Whether its name, or the path of its cgroup, matches. */
bool request_tls_matches(pid_t pid, const regex_t *watched, char ret_comm[TLS_COMM_MAX]);
/* When it started, in ticks, and who forked it. False: it is gone. */
bool request_tls_origin(pid_t pid, uint64_t *ret_started, pid_t *ret_parent);
bool request_tls_comm(pid_t pid, char ret[TLS_COMM_MAX]);
/* Opens the libraries that may be OpenSSL's, at most `max`; returns how many. */
unsigned request_tls_libraries(pid_t pid, struct tls_library *ret, unsigned max);
/* Opens the executable. False: it has none (a thread of the kernel), or is gone. */
bool request_tls_executable(pid_t pid, struct tls_library *ret);

#endif
