#define _GNU_SOURCE
#include "agent_role.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "keeper.h"
#include "log.h"
#include "maps.h"
#include "role.h"

#define MODULE_PERIOD_DEFAULT_MS 2000 /* stands for agent.period_ms */
#define KEEPER_ANSWER_MS 2000

struct agent_role {
	struct agent agent;
	uv_timer_t timer;
	uv_signal_t terminate;
	uint64_t due_ns[AGENT_MODULES_MAX];
	uint64_t *beats; /* in shared memory: the keeper watches it */
};

uint64_t agent_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void agent_reason(struct agent *a, const char *format, ...)
{
	va_list args;

	if (!a->current)
		return;
	va_start(args, format);
	vsnprintf(a->current->reason, sizeof(a->current->reason), format, args);
	va_end(args);
}

int agent_request_exact(struct agent *a, uint32_t seconds)
{
	struct keeper_request request = {.type = KEEPER_EXACT, .value = seconds};
	struct pollfd answered = {.fd = a->keeper_fd, .events = POLLIN};
	int32_t reply;

	if (a->keeper_fd < 0)
		return -ENOTSUP;
	if (send(a->keeper_fd, &request, sizeof(request), MSG_NOSIGNAL) != sizeof(request))
		return -errno;
	if (poll(&answered, 1, KEEPER_ANSWER_MS) != 1)
		return -ETIMEDOUT;
	if (recv(a->keeper_fd, &reply, sizeof(reply), 0) != sizeof(reply))
		return -EPIPE;
	return reply;
}

static void run_module(struct agent *a, struct module_slot *slot, uint64_t now)
{
	int err;

	a->current = slot;
	err = slot->module->tick(a, slot->state, now);
	a->current = NULL;
	slot->ticks++;
	slot->tick_ns += agent_now_ns() - now;
	if (err) {
		slot->errors++;
		log_warn(slot->module->name, "tick: %s%s%s", strerror(-err),
			 slot->reason[0] ? ": " : "", slot->reason);
	}
}

static uint64_t period_ns(const struct agent *a, const struct module *m)
{
	uint64_t ms =
	    m->period_ms == MODULE_PERIOD_DEFAULT_MS ? a->config->agent.period_ms : m->period_ms;

	return ms * 1000000;
}

/* One timer for all: every module that is due within a tenth of the period runs in the same
 * wake-up. */
static void on_tick(uv_timer_t *timer)
{
	struct agent_role *r = timer->data;
	struct agent *a = &r->agent;
	uint64_t slack = a->config->agent.period_ms * 100000;

	__atomic_add_fetch(r->beats, 1, __ATOMIC_RELAXED);
	for (size_t i = 0; i < a->slots_n; i++) {
		struct module_slot *slot = &a->slots[i];
		uint64_t now = agent_now_ns();

		if (slot->phase != MODULE_RUNNING || !slot->module->tick ||
		    now + slack < r->due_ns[i])
			continue;
		run_module(a, slot, now);
		r->due_ns[i] = now + period_ns(a, slot->module);
	}
}

static void on_terminate(uv_signal_t *handle, int signal)
{
	uv_stop(handle->loop);
}

/* -EADDRINUSE and other failures of what the user asked for end the role; the rest only its module.
 */
static int init_module(struct agent *a, const struct module *m)
{
	struct module_slot *slot = &a->slots[a->slots_n++];
	int err;

	slot->module = m;
	a->current = slot;
	err = m->init(a, &slot->state);
	a->current = NULL;
	if (!err) {
		slot->phase = MODULE_RUNNING;
		return 0;
	}
	slot->phase = err == -ENOTSUP ? MODULE_OFF : MODULE_FAILED;
	if (!slot->reason[0])
		snprintf(slot->reason, sizeof(slot->reason), "%s", strerror(-err));
	if (err == -ENOTSUP)
		log_info(m->name, "off: %s", slot->reason);
	else
		log_error(m->name, "cannot start: %s", slot->reason);
	return err == -ENOTSUP ? 0 : err;
}

static int init_modules(struct agent *a)
{
	int err, fatal = 0;

	for (size_t i = 0; agent_modules[i] && a->slots_n < AGENT_MODULES_MAX; i++) {
		if (!(agent_modules[i]->roles & ROLE_AGENT))
			continue;
		err = init_module(a, agent_modules[i]);
		if (err && agent_modules[i]->essential)
			fatal = err;
	}
	return fatal;
}

static void fini_modules(struct agent *a)
{
	for (size_t i = a->slots_n; i-- > 0;)
		if (a->slots[i].module->fini && a->slots[i].phase == MODULE_RUNNING)
			a->slots[i].module->fini(a, a->slots[i].state);
}

static int drop_privileges(const struct agent_setup *setup)
{
	sigset_t none;
	char err[200];

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(0077);
	if (privilege_drop(&setup->user, setup->map_fd, err, sizeof(err))) {
		log_error("agent",
			  "cannot give up privileges: %s; started as root it needs CAP_SETUID and "
			  "CAP_SETGID, and a kernel with seccomp",
			  err);
		return ROLE_EXIT_CONFIG;
	}
	/* the keeper may have died before it could be told */
	return getppid() == setup->shared->keeper_pid ? 0 : 1;
}

static int start_loop(struct agent_role *r)
{
	uint64_t period = r->agent.config->agent.period_ms;
	int err = uv_signal_init(&r->agent.loop, &r->terminate);

	if (!err)
		err = uv_signal_start(&r->terminate, on_terminate, SIGTERM);
	if (!err)
		err = uv_timer_init(&r->agent.loop, &r->timer);
	r->timer.data = r;
	if (!err)
		err = uv_timer_start(&r->timer, on_tick, 0, period);
	return err;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

int agent_role_main(const struct agent_setup *setup)
{
	struct agent_role *r = calloc(1, sizeof(*r));
	struct agent *a;
	int status, err;

	if (!r)
		return 1;
	a = &r->agent;
	a->config = setup->config;
	a->config_file = setup->config_file;
	r->beats = setup->beats;
	a->shared = setup->shared;
	a->maps = setup->maps;
	a->keeper_fd = setup->keeper_fd;
	snprintf(a->token, sizeof(a->token), "%s", setup->token);
	a->store = store_open(setup->store_memory,
			      store_size(setup->config->agent.series, setup->histograms),
			      setup->config->agent.series, setup->histograms);
	status = drop_privileges(setup);
	if (status || !a->store || uv_loop_init(&a->loop)) {
		free(r);
		return status ?: 1;
	}
	err = start_loop(r);
	if (!err)
		err = init_modules(a);
	if (!err)
		uv_run(&a->loop, UV_RUN_DEFAULT);
	fini_modules(a);
	uv_walk(&a->loop, close_handle, NULL);
	uv_run(&a->loop, UV_RUN_DEFAULT);
	uv_loop_close(&a->loop);
	free(r);
	return err ? ROLE_EXIT_CONFIG : 0;
}
