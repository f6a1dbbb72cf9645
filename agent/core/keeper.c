#define _GNU_SOURCE
#include "keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "agent.h"
#include "agent_role.h"
#include "cost.h"
#include "disk_stamps.h"
#include "governor.h"
#include "log.h"
#include "privilege.h"
#include "probes.h"
#include "role.h"
#include "state.h"
#include "sweep.h"
#include "windows.h"

#define STORE_HISTOGRAMS 1024

struct keeper {
	struct config *config;
	const char *config_file;
	struct shared *shared;
	void *store_memory;
	struct probes *probes;
	struct windows windows;
	struct sweep sweep;
	struct cost cost;
	struct disk_stamps disk_stamps;
	struct governor governor;
	struct privilege_user user;
	char token[STATE_TOKEN_SIZE];
	struct role_process agent;
	int signals;
	bool stop;
	int status;
};

static void *map_shared(size_t bytes)
{
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

/* CPUs that may come online without a restart: the per-CPU arrays have an element for each. */
static uint32_t count_cpus(void)
{
	long configured = sysconf(_SC_NPROCESSORS_CONF), online = sysconf(_SC_NPROCESSORS_ONLN);
	long n = configured > online ? configured : online;

	return n < 1 ? 1 : n;
}

static int make_shared(struct keeper *k)
{
	struct utsname u;
	struct shared *s = map_shared(sizeof(*s));

	k->store_memory = map_shared(store_size(k->config->agent.series, STORE_HISTOGRAMS));
	if (!s || !k->store_memory)
		return -ENOMEM;
	s->started_ns = agent_now_ns();
	s->started_unix_s = time(NULL);
	s->keeper_pid = getpid();
	s->cpus = count_cpus();
	uname(&u);
	snprintf(s->kernel, sizeof(s->kernel), "%s %s", u.release, u.machine);
	k->shared = s;
	return 0;
}

/* Runs in the child. */
static int agent_child(void *arg, int keeper_fd)
{
	struct keeper *k = arg;
	struct agent_setup setup = {.config = k->config,
				    .shared = k->shared,
				    .maps = probes_maps(k->probes),
				    .map_fd = probes_any_map_fd(k->probes),
				    .store_memory = k->store_memory,
				    .histograms = STORE_HISTOGRAMS,
				    .user = k->user,
				    .token = k->token,
				    .keeper_fd = keeper_fd};

	close(k->signals);
	probes_forget(k->probes); /* a link held here would keep a program attached */
	cost_fini(&k->cost);
	sweep_fini(&k->sweep);
	return agent_role_main(&setup);
}

static int open_signals(struct keeper *k)
{
	const int wanted[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
		sigaddset(&set, wanted[i]);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	k->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return k->signals < 0 ? -errno : 0;
}

/* A bad file is refused and the running configuration stays. The agent is started anew with the new
 * one: its series live in shared memory, so nothing is lost by that. */
static void reload(struct keeper *k)
{
	struct config *config;
	char err[512];

	if (config_load(k->config_file, environ, &config, err, sizeof(err))) {
		log_error("keeper", "the configuration stays as it was: %s", err);
		return;
	}
	role_stop(&k->agent);
	config_free(k->config);
	k->config = config;
	log_setup(config->log.format, config->log.level);
	k->windows.window_ns = config->syscall.window_ms * 1000000;
	k->windows.period_ns = config->syscall.period_ms * 1000000;
	k->shared->windows.configured = config->syscall.mode;
	windows_apply(&k->windows, agent_now_ns());
	k->sweep.period_ns = config->tcp.sweep_ms * 1000000;
	k->agent.due_ns = 0;
	log_info("keeper", "configuration reloaded");
}

static void reap(struct keeper *k)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != k->shared->role[0].pid)
			continue;
		if (role_ended(&k->agent, status, agent_now_ns())) {
			k->stop = true;
			k->status = 1;
		}
	}
}

static void handle_signals(struct keeper *k)
{
	struct signalfd_siginfo info;

	while (read(k->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			reap(k);
		else if (info.ssi_signo == SIGHUP)
			reload(k);
		else
			k->stop = true;
	}
}

static int32_t answer(struct keeper *k, const struct keeper_request *request)
{
	if (request->type != KEEPER_EXACT || request->value > KEEPER_EXACT_MAX_S)
		return -EINVAL;
	if (!probes_maps(k->probes)->syscall_cpus)
		return -ENOTSUP;
	windows_ask_exact(&k->windows, agent_now_ns(), request->value);
	return 0;
}

static void handle_request(struct keeper *k)
{
	struct keeper_request request;
	int32_t reply;
	ssize_t n = recv(k->agent.fd, &request, sizeof(request), MSG_DONTWAIT);

	if (n <= 0)
		return; /* gone: SIGCHLD tells */
	reply = n == sizeof(request) ? answer(k, &request) : -EINVAL;
	send(k->agent.fd, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void apply_level(struct keeper *k, uint64_t now)
{
	const struct governor_level *l = &governor_levels[k->governor.level];
	bool sched_was_off = k->shared->shed_level &&
			     governor_levels[k->shared->shed_level].sched_off;

	log_warn("keeper", "BPF programs use %.2f %% of the node's CPU, the budget is %.2f %%: %s",
		 100 * k->shared->bpf_cpu_ratio, 100 * k->config->agent.budget_ratio, l->about);
	k->shared->shed_level = k->governor.level;
	k->windows.stretch = l->window_stretch;
	k->sweep.stretch = l->sweep_stretch;
	if (probes_maps(k->probes)->syscall_cpus && k->windows.limit != l->syscall_limit) {
		k->windows.limit = l->syscall_limit;
		windows_apply(&k->windows, now);
	}
	if (l->sched_off != sched_was_off)
		probes_shed(k->probes, "sched", l->sched_off, "over the CPU budget");
}

static void run_cost(struct keeper *k, uint64_t now)
{
	if (cost_run(&k->cost, now) &&
	    governor_step(&k->governor, k->shared->bpf_cpu_ratio, k->config->agent.budget_ratio))
		apply_level(k, now);
}

static void start_roles(struct keeper *k, uint64_t now)
{
	int err;

	if (now < k->agent.due_ns)
		return;
	err = role_start(&k->agent, now);
	if (err) {
		log_error("keeper", "cannot start the agent: %s", strerror(-err));
		k->agent.due_ns = now + ROLE_BACKOFF_MAX_NS;
	}
}

static uint64_t earliest(const struct keeper *k)
{
	const uint64_t due[] = {k->windows.due_ns, k->sweep.due_ns, k->cost.due_ns,
				k->disk_stamps.due_ns, k->agent.due_ns};
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < sizeof(due) / sizeof(*due); i++)
		if (due[i] < first)
			first = due[i];
	return first;
}

static void loop(struct keeper *k)
{
	while (!k->stop) {
		struct pollfd fds[] = {{.fd = k->signals, .events = POLLIN},
				       {.fd = k->agent.fd, .events = POLLIN}};
		uint64_t now = agent_now_ns(), due = earliest(k);
		uint64_t wait = due > now ? due - now : 0;
		struct timespec timeout = {.tv_sec = wait / 1000000000, .tv_nsec = wait % 1000000000};

		if (ppoll(fds, 2, due == UINT64_MAX ? NULL : &timeout, NULL) > 0) {
			if (fds[1].revents & POLLIN)
				handle_request(k);
			if (fds[0].revents)
				handle_signals(k);
		}
		now = agent_now_ns();
		windows_run(&k->windows, now);
		sweep_run(&k->sweep, now);
		run_cost(k, now);
		disk_stamps_run(&k->disk_stamps, now);
		if (!k->stop)
			start_roles(k, now);
	}
}

static int prepare(struct keeper *k)
{
	uint64_t now;
	int err = make_shared(k);

	if (!err)
		err = open_signals(k);
	if (err) {
		log_error("keeper", "cannot start: %s", strerror(-err));
		return err;
	}
	err = privilege_user(k->config->agent.user, &k->user);
	if (err) {
		log_error("keeper", "agent.user: there is no user \"%s\"; create it or name another",
			  k->config->agent.user);
		return err;
	}
	state_prepare(k->config, k->user.uid, k->user.gid, k->token);
	err = probes_load(k->config, k->shared, &k->probes);
	if (err) {
		log_error("keeper", "cannot open the BPF objects: %s", strerror(-err));
		return err;
	}
	now = agent_now_ns();
	windows_init(&k->windows, k->probes, &k->shared->windows, k->config, now);
	sweep_init(&k->sweep, k->probes, k->shared, k->config->tcp.sweep_ms * 1000000, now);
	cost_init(&k->cost, k->probes, k->shared, now);
	disk_stamps_init(&k->disk_stamps, k->probes, now);
	k->shared->roles_n = 1;
	role_init(&k->agent, &k->shared->role[0], "agent", agent_child, k);
	return 0;
}

int keeper_run(struct config *config, const char *config_file)
{
	struct keeper *k = calloc(1, sizeof(*k));

	if (!k)
		return 1;
	k->config = config;
	k->config_file = config_file;
	k->signals = -1;
	if (prepare(k)) {
		k->status = 1;
	} else {
		loop(k);
		role_stop(&k->agent);
		cost_fini(&k->cost);
		sweep_fini(&k->sweep);
	}
	probes_free(k->probes);
	config_free(k->config);
	if (k->signals >= 0)
		close(k->signals);
	int status = k->status;
	free(k);
	return status;
}
