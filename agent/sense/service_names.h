/* service_names.h - what a service is called, from the path of the cgroup that it runs in.
 *
 *   .../kubepods-burstable-podUID.slice/cri-containerd-ID.scope   NAMESPACE/POD/CONTAINER
 *   .../docker-ID.scope, /docker/ID, ...                          container:ID12
 *   /system.slice/redis.service                                   redis
 *   /machine.slice/machine-web1.scope/system.slice/nginx.service  machine-web1/nginx
 *   /, a login session, a terminal, any other directory           the task's comm
 *
 * A name has printable ASCII characters only; one that is too long keeps its beginning, followed by
 * '~' and a hash of all of it. Inputs besides: the directories "pods" and "containers" that the
 * kubelet keeps in /var/log, which any user may list by default. Bounds: SERVICE_NAMES_ENTRIES
 * entries of each. Cost: 1 us; for a pod, 0.3 us for each of those entries.
 */
#ifndef TRIMTAB_SERVICE_NAMES_H
#define TRIMTAB_SERVICE_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#define SERVICE_NAMES_MAX 112 /* bytes of a name, with the NUL */
#define SERVICE_NAMES_ENTRIES 4096
#define SERVICE_NAMES_CONTAINER_MAX 13 /* 12 digits and the NUL */

/* logs: "/var/log". False if it is a pod whose name is not to be found (yet): ret is then the
 * container's, or comm. */
bool service_names_find(const char *logs, const char *cgroup, const char *comm,
			char ret[SERVICE_NAMES_MAX]);

/* The first 12 of the 64 digits of the innermost container in the path; "" if there is none. */
void service_names_container(const char *cgroup, char ret[SERVICE_NAMES_CONTAINER_MAX]);

/* Copies a text of at most `bytes` bytes, what is not printable ASCII as '?'. */
void service_names_print(const char *text, size_t bytes, char *ret, size_t size);

#endif
