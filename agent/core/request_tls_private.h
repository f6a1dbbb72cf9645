/* request_tls_private.h - what the files of request.tls share.
 *
 *   request_tls.c          on and off, and the looks through /proc
 *   request_tls_watch.c    the files and processes that are attached to
 *   request_tls_find.c     /proc
 *   request_tls_symbols.c  ELF
 *   request_tls_events.c   tracefs and perf events
 */
#ifndef TRIMTAB_REQUEST_TLS_PRIVATE_H
#define TRIMTAB_REQUEST_TLS_PRIVATE_H

#include "maps.h"
#include "request_tls.h"

#define REQUEST_TLS_MAP "request_tls_processes"

/* Sees to a process that matches: it is attached to, watched already, or said not to be. */
void request_tls_take(struct request_tls *t, pid_t pid, const char *comm);
void request_tls_release(struct request_tls *t, struct tls_process *p);
void request_tls_close(struct tls_process *p); /* its descriptors alone */
void request_tls_drop_file(struct request_tls *t, struct tls_file *f);

#endif
