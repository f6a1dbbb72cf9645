/* request_tls.h - which processes have the requests inside their TLS watched. Keeper only.
 *
 * Off by default: a breakpoint in SSL_read() and SSL_write() is dear, so request.tls says by a
 * regular expression whose requests are worth it: it is matched against a process's name (comm) and
 * against the path of its cgroup, where the systemd unit, the container or the pod stands. /proc is
 * looked through for such processes every REQUEST_TLS_NS, and at once when the configuration
 * changes; what they fork is watched from its first byte on, if their main thread forks it. OpenSSL
 * is found among the libraries that a process has mapped, else in its executable.
 *
 * What is watched, and what matches and cannot be (Go, rustls, GnuTLS, Java), is in shared->tls.
 *
 * Bounds: TLS_PROCESSES processes are attached to, TLS_FILES files; the others are counted. Cost:
 * 10 us a process of the node at each look, 100 us more for those that match; see
 * request_tls_events.h and request_tls_symbols.h.
 */
#ifndef TRIMTAB_REQUEST_TLS_H
#define TRIMTAB_REQUEST_TLS_H

#include <regex.h>
#include <stdbool.h>
#include "probes.h"
#include "request_tls_events.h"
#include "request_tls_find.h"

#define REQUEST_TLS_NS 10000000000ULL
#define TLS_PROCESSES 64
#define TLS_FILES 32
#define TLS_FILES_EACH 2 /* of a process */

struct tls_file {
	bool used, wanted; /* wanted: by a process of this look */
	int err;	   /* why it cannot be attached to */
	dev_t dev;
	ino_t inode;
	struct tls_events events;
};

struct tls_process {
	pid_t pid;	  /* 0: the place is free */
	uint64_t started; /* in ticks, as /proc has it: a pid may come again */
	bool seen;	  /* by this look */
	uint32_t forked;  /* processes that are watched because of it, at this look */
	char comm[16], path[TLS_PATH_MAX]; /* of the first file */
	int guard;
	unsigned files_n;
	struct {
		unsigned file;
		int fds[TLS_PLACES];
	} file[TLS_FILES_EACH];
};

struct request_tls {
	struct probes *probes;
	struct shared *shared;
	uint64_t due_ns; /* UINT64_MAX: off */
	char *text;	 /* of the expression */
	regex_t watched;
	int tracefs; /* a directory; -1 */
	int programs[TLS_PLACES];
	uint32_t said; /* processes of this look that shared memory tells of */
	struct tls_file file[TLS_FILES];
	struct tls_process process[TLS_PROCESSES];
};

/* With request.tls empty, nothing is loaded. */
void request_tls_init(struct request_tls *t, struct probes *p, struct shared *s,
		      const struct config *config, uint64_t now_ns);
/* After the configuration has changed. */
void request_tls_set(struct request_tls *t, const struct config *config, uint64_t now_ns);
void request_tls_run(struct request_tls *t, uint64_t now_ns);
/* In a fresh child: closes the descriptors, which the keeper goes on holding. */
void request_tls_forget(struct request_tls *t);
void request_tls_fini(struct request_tls *t);

#endif
