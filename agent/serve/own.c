/* own.c - see own.h for the contract. */
#include <dirent.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "core/agent.h"
#include "serve/own.h"
#include "serve/routes.h"
#include "store/quantile.h"

#define ROUTES_MAX 64 /* the last one stands for requests that no route fitted */
#define OTHER (ROUTES_MAX - 1)

static const int statuses[] = {
    MHD_HTTP_OK,
    MHD_HTTP_ACCEPTED,
    MHD_HTTP_NOT_MODIFIED,
    MHD_HTTP_BAD_REQUEST,
    MHD_HTTP_UNAUTHORIZED,
    MHD_HTTP_NOT_FOUND,
    MHD_HTTP_METHOD_NOT_ALLOWED,
    MHD_HTTP_CONTENT_TOO_LARGE,
    MHD_HTTP_MISDIRECTED_REQUEST,
    MHD_HTTP_SERVICE_UNAVAILABLE,
    MHD_HTTP_INTERNAL_SERVER_ERROR, /* the last: any other, too */
};
#define STATUSES (sizeof(statuses) / sizeof(statuses[0]))

struct own {
	uint64_t requests[ROUTES_MAX][STATUSES];
	struct hist took[ROUTES_MAX]; /* since the last update; the store has the rest */
	bool used[ROUTES_MAX];
};

enum {
	BUILD_INFO,
	SERIES,
	SERIES_MAX,
	SERIES_DROPPED,
	HTTP_REQUESTS,
	HTTP_DURATION,
	ROLE_CPU,
	ROLE_RESIDENT,
	ROLE_RESTARTS,
	PROCESS_CPU,
	PROCESS_RESIDENT,
	PROCESS_VIRTUAL,
	PROCESS_START,
	PROCESS_FDS,
	PROCESS_FDS_MAX,
	METRICS
};

static const struct metric own_metrics[] METRIC = {
    [BUILD_INFO] = {"trimtab_build_info", METRIC_GAUGE, "version,compiler",
		    "What runs here; always 1.", "the build"},
    [SERIES] = {"trimtab_series", METRIC_GAUGE, "", "Series in the store.", "the store"},
    [SERIES_MAX] = {"trimtab_series_max", METRIC_GAUGE, "",
		    "Room for series in the store (agent.series).", "the store"},
    [SERIES_DROPPED] = {"trimtab_series_dropped_total", METRIC_COUNTER, "",
			"Writes to the store that found no room.", "the store"},
    [HTTP_REQUESTS] = {"trimtab_http_requests_total", METRIC_COUNTER, "path,code",
		       "HTTP requests answered, by route and status; path=\"other\" is what no "
		       "route fitted.",
		       "own requests"},
    [HTTP_DURATION] = {"trimtab_http_request_duration_seconds", METRIC_HISTOGRAM, "path",
		       "Time from a request's headers to its answer being queued.", "own requests"},
    [ROLE_CPU] = {"trimtab_process_cpu_seconds_total", METRIC_COUNTER, "role",
		  "CPU time of each process of the program, user and system.", "clock_gettime(2)"},
    [ROLE_RESIDENT] = {"trimtab_process_resident_memory_bytes", METRIC_GAUGE, "role",
		       "Resident memory of each process of the program; what they share is in "
		       "each.",
		       "/proc/PID/statm"},
    [ROLE_RESTARTS] = {"trimtab_role_restarts_total", METRIC_COUNTER, "role",
		       "How often the keeper restarted a process that had ended.", "the keeper"},
    [PROCESS_CPU] = {"process_cpu_seconds_total", METRIC_COUNTER, "",
		     "Total user and system CPU time spent in seconds.", "clock_gettime(2)"},
    [PROCESS_RESIDENT] = {"process_resident_memory_bytes", METRIC_GAUGE, "",
			  "Resident memory size in bytes.", "/proc/self/statm"},
    [PROCESS_VIRTUAL] = {"process_virtual_memory_bytes", METRIC_GAUGE, "",
			 "Virtual memory size in bytes.", "/proc/self/statm"},
    [PROCESS_START] = {"process_start_time_seconds", METRIC_GAUGE, "",
		       "Start time of the process since unix epoch in seconds.", "the keeper"},
    [PROCESS_FDS] = {"process_open_fds", METRIC_GAUGE, "", "Number of open file descriptors.",
		     "/proc/self/fd"},
    [PROCESS_FDS_MAX] = {"process_max_fds", METRIC_GAUGE, "",
			 "Maximum number of open file descriptors.", "getrlimit(2)"},
};

struct own *own_new(void)
{
	return calloc(1, sizeof(struct own));
}

void own_free(struct own *o)
{
	free(o);
}

void own_count(struct own *o, const struct route *route, int status, uint64_t took_ns)
{
	size_t r = route ? (size_t)(route - routes) : OTHER, s = 0;

	if (r > OTHER)
		r = OTHER;
	while (s < STATUSES - 1 && statuses[s] != status)
		s++;
	o->used[r] = true;
	o->requests[r][s]++;
	o->took[r].count[hist_slot(took_ns)]++;
	o->took[r].sum_ns += took_ns;
}

static void update_requests(struct own *o, struct store *s, uint64_t now_ns)
{
	for (size_t r = 0; r < ROUTES_MAX; r++) {
		const char *path = r < routes_n ? routes[r].path : "other";
		struct hist *h;
		char code[8];

		if (!o->used[r])
			continue;
		for (size_t i = 0; i < STATUSES; i++) {
			if (!o->requests[r][i])
				continue;
			snprintf(code, sizeof(code), "%d", statuses[i]);
			store_set(s, &own_metrics[HTTP_REQUESTS], now_ns, (double)o->requests[r][i],
				  "path", path, "code", code, NULL);
		}
		h = store_hist(s, &own_metrics[HTTP_DURATION], now_ns, "path", path, NULL);
		if (h)
			hist_merge(h, &o->took[r]);
		o->took[r] = (struct hist){0};
	}
}

/* --- processes */

static double cpu_seconds(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
		return -1;
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* 0 or -1: the process is gone, or /proc hides it */
static int memory_bytes(pid_t pid, double *ret_virtual, double *ret_resident)
{
	char path[32], text[128];
	unsigned long pages, resident;
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	if (n <= 0)
		return -1;
	text[n] = '\0';
	if (sscanf(text, "%lu %lu", &pages, &resident) != 2)
		return -1;
	*ret_virtual = (double)pages * (double)sysconf(_SC_PAGESIZE);
	*ret_resident = (double)resident * (double)sysconf(_SC_PAGESIZE);
	return 0;
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	if (!dir)
		return -1;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 3; /* ".", ".." and the directory's own */
}

static void update_role(struct store *s, uint64_t now_ns, const char *role, pid_t pid)
{
	double cpu = cpu_seconds(pid), bytes, resident;

	if (cpu >= 0)
		store_set(s, &own_metrics[ROLE_CPU], now_ns, cpu, "role", role, NULL);
	if (!memory_bytes(pid, &bytes, &resident))
		store_set(s, &own_metrics[ROLE_RESIDENT], now_ns, resident, "role", role, NULL);
}

static void update_roles(struct agent *a, uint64_t now_ns)
{
	const struct shared *shared = a->shared;
	char name[sizeof(shared->role[0].name) + 1] = "";

	if (a->keeper_fd >= 0)
		update_role(a->store, now_ns, "keeper", getppid());
	for (uint32_t i = 0; i < shared->roles_n && i < SHARED_ROLES; i++) {
		memcpy(name, shared->role[i].name, sizeof(shared->role[i].name));
		if (!strcmp(name, "keeper"))
			continue; /* done */
		if (shared->role[i].pid > 0)
			update_role(a->store, now_ns, name, shared->role[i].pid);
		store_set(a->store, &own_metrics[ROLE_RESTARTS], now_ns, shared->role[i].restarts,
			  "role", name, NULL);
	}
}

/* The names that every client library gives for its own process, and dashboards know. */
static void update_process(struct store *s, uint64_t now_ns, double started_unix_s)
{
	double bytes, resident;
	struct rlimit limit;
	int fds = count_fds();

	store_set(s, &own_metrics[PROCESS_CPU], now_ns, cpu_seconds(getpid()), NULL);
	store_set(s, &own_metrics[PROCESS_START], now_ns, started_unix_s, NULL);
	if (!memory_bytes(getpid(), &bytes, &resident)) {
		store_set(s, &own_metrics[PROCESS_VIRTUAL], now_ns, bytes, NULL);
		store_set(s, &own_metrics[PROCESS_RESIDENT], now_ns, resident, NULL);
	}
	if (fds >= 0)
		store_set(s, &own_metrics[PROCESS_FDS], now_ns, fds, NULL);
	if (!getrlimit(RLIMIT_NOFILE, &limit))
		store_set(s, &own_metrics[PROCESS_FDS_MAX], now_ns, (double)limit.rlim_cur, NULL);
}

/* When this process started; a restarted agent is younger than the keeper. */
static double started_unix_s(const struct shared *shared)
{
	for (uint32_t i = 0; i < shared->roles_n && i < SHARED_ROLES; i++) {
		const struct shared_role *r = &shared->role[i];

		if (r->pid == getpid() && r->started_ns > shared->started_ns)
			return (double)shared->started_unix_s +
			       (double)(r->started_ns - shared->started_ns) / 1e9;
	}
	return (double)shared->started_unix_s;
}

void own_update(struct own *o, struct agent *a, uint64_t now_ns)
{
	struct store *s = a->store;
	struct store_stats stats;

	store_set(s, &own_metrics[BUILD_INFO], now_ns, 1, "version", TRIMTAB_VERSION, "compiler",
		  OWN_COMPILER, NULL);
	update_process(s, now_ns, started_unix_s(a->shared));
	update_roles(a, now_ns);
	update_requests(o, s, now_ns);
	store_get_stats(s, &stats);
	store_set(s, &own_metrics[SERIES], now_ns, stats.series, NULL);
	store_set(s, &own_metrics[SERIES_MAX], now_ns, stats.series_max, NULL);
	store_set(s, &own_metrics[SERIES_DROPPED], now_ns, (double)stats.dropped, NULL);
}
