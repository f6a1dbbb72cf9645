#define _GNU_SOURCE
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "agent.h"
#include "agent_role.h"
#include "cost.h"
#include "governor.h"
#include "log.h"
#include "privilege.h"
#include "probes.h"
#include "reclaim.h"
#include "request_census.h"
#include "request_tls.h"
#include "role.h"
#include "state.h"
#include "sweep.h"
#include "windows.h"

#define STORE_HISTOGRAMS 2048
#define DESCRIPTORS_MIN 256

struct keeper {
	struct config *config;
	struct config *previous; /* what to go back to if the agent refuses config; NULL: nothing */
	uint64_t reload_beats;	 /* of the agent, when config came */
	const char *config_file;
	struct shared *shared;
	void *store_memory;
	struct probes *probes;
	struct windows windows;
	struct sweep sweep;
	struct reclaim reclaim;
	struct request_census census;
	struct request_tls tls;
	struct cost cost;
	struct governor governor;
	uint32_t shed_level; /* the governor's, as it is applied */
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
				    .config_file = k->config_file,
				    .shared = k->shared,
				    .maps = probes_map_all(k->probes),
				    .map_fd = probes_any_map_fd(k->probes),
				    .store_memory = k->store_memory,
				    .histograms = STORE_HISTOGRAMS,
				    .beats = &k->shared->role[0].beats,
				    .user = k->user,
				    .token = k->token,
				    .keeper_fd = keeper_fd};

	close(k->signals);
	probes_forget(k->probes); /* a link held here would keep a program attached */
	cost_fini(&k->cost);
	sweep_fini(&k->sweep);
	request_tls_forget(&k->tls);
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

static uint64_t agent_beats(const struct keeper *k)
{
	return __atomic_load_n(&k->shared->role[0].beats, __ATOMIC_RELAXED);
}

/* Puts the keeper's own part of the configuration in force, and has the agent started anew with it.
 */
static void apply_config(struct keeper *k, struct config *config)
{
	uint64_t now = agent_now_ns();

	k->config = config;
	k->reload_beats = agent_beats(k);
	log_setup(config->log.format, config->log.level);
	k->windows.window_ns = config->syscall.window_ms * 1000000;
	k->windows.period_ns = config->syscall.period_ms * 1000000;
	k->shared->windows.configured = config->syscall.mode;
	windows_apply(&k->windows, now);
	k->sweep.period_ns = config->tcp.sweep_ms * 1000000;
	k->sweep.budget_ratio = config->agent.budget_ratio;
	if (k->sweep.due_ns != UINT64_MAX)
		k->sweep.due_ns = now;
	request_tls_set(&k->tls, config, now);
	k->agent.due_ns = now;
}

/* A bad file is refused and the running configuration stays. The agent is started anew with the new
 * one: its series live in shared memory, so nothing is lost by that. */
static void reload(struct keeper *k)
{
	struct config *config;
	char err[512], waiting[200];

	if (config_load(k->config_file, environ, &config, err, sizeof(err))) {
		log_error("keeper", "the configuration stays as it was: %s", err);
		return;
	}
	if (config_keep(config, k->config, waiting, sizeof(waiting))) {
		log_error("keeper", "the configuration stays as it was: no memory");
		config_free(config);
		return;
	}
	if (waiting[0])
		log_warn("keeper", "changed in the file, but in force only after a restart: %s",
			 waiting);
	role_stop(&k->agent);
	config_free(k->previous);
	k->previous = k->config;
	apply_config(k, config);
	log_info("keeper", "configuration reloaded");
}

/* The agent said why it cannot work as configured. A first start ends the program; after a reload,
 * what worked before is taken again. Else (a port lost in a crash) the next start may do better. */
static void agent_refused(struct keeper *k)
{
	if (k->previous && agent_beats(k) == k->reload_beats) {
		log_error("keeper",
			  "the reloaded configuration does not work; back to the one before");
		config_free(k->config);
		k->config = NULL;
		apply_config(k, k->previous);
		k->previous = NULL;
	} else if (!agent_beats(k)) {
		k->stop = true;
		k->status = 1;
	} else {
		log_warn("keeper", "the agent cannot go on as configured; trying again");
	}
}

static void reap(struct keeper *k)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == k->agent.pid && role_ended(&k->agent, status, agent_now_ns()))
			agent_refused(k);
}

static void watch_agent(struct keeper *k, uint64_t now)
{
	uint64_t hang_ms = k->config->agent.hang_ms, least = 10 * k->config->agent.period_ms;

	role_watch(&k->agent, (hang_ms > least ? hang_ms : least) * 1000000, now);
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
	if (!probes_loaded(k->probes, "syscall"))
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
	bool sched_was_off = governor_levels[k->shed_level].sched_off;

	log_warn("keeper", "BPF programs use %.2f %% of the node's CPU, the budget is %.2f %%: %s",
		 100 * k->shared->bpf_cpu_ratio, 100 * k->config->agent.budget_ratio, l->about);
	k->shed_level = k->shared->shed_level = k->governor.level;
	k->windows.stretch = l->window_stretch;
	k->sweep.stretch = l->sweep_stretch;
	if (probes_loaded(k->probes, "syscall") && k->windows.limit != l->syscall_limit) {
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
	const uint64_t due[] = {k->windows.due_ns, k->sweep.due_ns, k->reclaim.due_ns,
				k->cost.due_ns,	   k->agent.due_ns, k->agent.watch_due_ns,
				k->census.due_ns,  k->tls.due_ns};
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
		struct timespec timeout = {.tv_sec = wait / 1000000000,
					   .tv_nsec = wait % 1000000000};

		if (ppoll(fds, 2, due == UINT64_MAX ? NULL : &timeout, NULL) > 0) {
			if (fds[1].revents & POLLIN)
				handle_request(k);
			if (fds[0].revents)
				handle_signals(k);
		}
		now = agent_now_ns();
		windows_run(&k->windows, now);
		sweep_run(&k->sweep, now);
		reclaim_run(&k->reclaim, now);
		request_census_run(&k->census, now);
		request_tls_run(&k->tls, now);
		run_cost(k, now);
		watch_agent(k, now);
		if (!k->stop)
			start_roles(k, now);
	}
}

/* A closed standard stream would give its number to the next descriptor, and log lines to that.
 * What else was left open is not for the roles to have. */
static void tidy_descriptors(void)
{
	int fd;

	close_range(STDERR_FILENO + 1, ~0U, 0);
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* Takes what the hard limit allows: programs, links and maps take 70, each client of the agent one.
 */
static int raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return -errno;
	if (limit.rlim_max < DESCRIPTORS_MIN) {
		log_error(
		    "keeper",
		    "cannot start: only %llu open files are allowed and %d are needed; raise the "
		    "limit (ulimit -n, LimitNOFILE=)",
		    (unsigned long long)limit.rlim_max, DESCRIPTORS_MIN);
		return -EMFILE;
	}
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &limit) ? -errno : 0;
}

static int prepare(struct keeper *k)
{
	uint64_t now;
	int err = raise_descriptors();

	if (err)
		return err;
	err = make_shared(k);

	if (!err)
		err = open_signals(k);
	if (err) {
		log_error("keeper", "cannot start: %s; agent.series sets how much memory is needed",
			  strerror(-err));
		return err;
	}
	err = privilege_user(k->config->agent.user, &k->user);
	if (err) {
		log_error("keeper",
			  "agent.user: there is no user \"%s\"; create it or name another",
			  k->config->agent.user);
		return err;
	}
	err = state_prepare(k->config, k->user.uid, k->user.gid, k->token);
	if (err)
		return err;
	err = probes_load(k->config, k->shared, &k->probes);
	if (err) {
		log_error("keeper", "cannot open the BPF objects: %s", strerror(-err));
		return err;
	}
	now = agent_now_ns();
	windows_init(&k->windows, k->probes, &k->shared->windows, k->config, now);
	sweep_init(&k->sweep, k->probes, k->shared, k->config->tcp.sweep_ms * 1000000,
		   k->config->agent.budget_ratio, now);
	reclaim_init(&k->reclaim, k->probes, k->shared, k->config->tcp.sweep_ms * 1000000, now);
	request_census_init(&k->census, k->probes, now);
	request_tls_init(&k->tls, k->probes, k->shared, k->config, now);
	cost_init(&k->cost, k->probes, k->shared, now);
	k->shared->roles_n = 1;
	role_init(&k->agent, &k->shared->role[0], "agent", agent_child, k);
	return 0;
}

int keeper_run(struct config *config, const char *config_file)
{
	struct keeper *k = calloc(1, sizeof(*k));

	if (!k)
		return 1;
	tidy_descriptors();
	umask(0077);
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
		request_tls_fini(&k->tls);
	}
	probes_free(k->probes);
	config_free(k->config);
	config_free(k->previous);
	if (k->signals >= 0)
		close(k->signals);
	int status = k->status;
	free(k);
	return status;
}
