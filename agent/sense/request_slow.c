/* request_slow.c - the slow requests: from when on one is slow, and the samples of those that were.
 *
 * Source: a ring buffer of the request probe, mapped by this role and emptied at each tick without
 * a system call; an old kernel may refuse that to an unprivileged process: then there are no
 * samples, and that is said once. Bounds: REQUEST_SAMPLES are kept, the last ones; TAKEN_MAX are
 * taken a tick, the rest waits in the ring, and what finds no room there the programs count. Cost:
 * 0.2 us a sample.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include "request_private.h"

#define TAKEN_MAX 4096

static void set_service(struct request_sample *x, const struct request_source *s)
{
	service_names_print(s->service[x->slow.service].label, REQUEST_LABEL_MAX, x->service,
			    sizeof(x->service));
}

static void set_cgroup(struct request_sample *x, const struct request_source *s)
{
	const struct request_service_slot *service = &s->service[x->slow.service];
	const char *path = service->cgroup;

	if (x->slow.cgroup != service->key.cgroup || !path[0])
		path = cgroup_name(s->cgroups, x->slow.cgroup, s->now_ns);
	service_names_print(strncmp(path, "cgroup:", 7) ? path : "", CGROUP_PATH_MAX, x->cgroup,
			    sizeof(x->cgroup));
}

void request_slow_take(struct request_source *s, const void *data, size_t bytes)
{
	struct request_sample *x = &s->sample[s->samples % REQUEST_SAMPLES];
	const struct request_slow *slow = data;
	const struct request_operation_slot *operation;

	if (bytes < sizeof(*slow) || slow->service >= REQUEST_SERVICES ||
	    slow->operation >= REQUEST_OPERATIONS || slow->outcome >= REQUEST_OUTCOMES)
		return;
	s->samples++;
	x->slow = *slow;
	set_service(x, s);
	set_cgroup(x, s);
	operation = &s->operation[slow->operation];
	service_names_print(operation->seen.used ? operation->name : "other", REQUEST_NAME,
			    x->operation, sizeof(x->operation));
}

void request_slow_named(struct request_source *s, uint32_t slot)
{
	for (uint64_t i = 0; i < s->samples && i < REQUEST_SAMPLES; i++)
		if (s->sample[i].slow.service == slot && !s->sample[i].service[0])
			set_service(&s->sample[i], s);
}

const struct request_sample *request_sample(const struct request_source *s, size_t i)
{
	if (i >= REQUEST_SAMPLES || i >= s->samples)
		return NULL;
	return &s->sample[(s->samples - 1 - i) % REQUEST_SAMPLES];
}

/* A negative answer ends the reading after this sample. */
static int take(void *context, void *data, size_t bytes)
{
	struct request_source *s = context;

	request_slow_take(s, data, bytes);
	return ++s->taken < TAKEN_MAX ? 0 : -EAGAIN;
}

int request_slow_open(struct request_source *s)
{
	int fd = s->agent->maps->request_slow_fd;

	if (fd < 0)
		return -ENOENT;
	s->ring = ring_buffer__new(fd, take, s, NULL);
	return s->ring ? 0 : -errno;
}

void request_slow_close(struct request_source *s)
{
	ring_buffer__free(s->ring);
	s->ring = NULL;
}

/* Slots that are free have it too, for who gets them. */
static void set_thresholds(const struct request_source *s)
{
	uint64_t slow_ns = s->ring ? s->agent->config->request.slow_ms * 1000000 : 0;

	for (uint32_t slot = 0; slot < REQUEST_SERVICES; slot++) {
		struct request_service *to = &s->agent->maps->request_services[slot];

		if (to->slow_ns != slow_ns)
			__atomic_store_n(&to->slow_ns, slow_ns, __ATOMIC_RELAXED);
	}
}

void request_slow_tick(struct request_source *s)
{
	set_thresholds(s);
	s->taken = 0;
	if (s->ring)
		ring_buffer__consume(s->ring);
}
