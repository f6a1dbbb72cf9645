#include "windows.h"

#include <string.h>
#include <sys/random.h>
#include "agent.h"
#include "log.h"

#define NS_PER_MS 1000000ULL
#define NS_PER_S 1000000000ULL

static uint64_t random_below(uint64_t bound)
{
	uint64_t x = 0;

	if (bound == 0 || getrandom(&x, sizeof(x), 0) != sizeof(x))
		return 0;
	return x % bound; /* the bias is below 2^-30 for any period */
}

static bool attach(struct windows *w, bool on)
{
	int err = probes_attach(w->probes, "syscall_enter", on);

	if (!err)
		err = probes_attach(w->probes, "syscall_exit", on);
	if (err && on)
		log_warn("keeper", "cannot attach the syscall programs: %s", strerror(-err));
	return err == 0;
}

static void open_window(struct windows *w)
{
	struct shared_windows *s = w->shared;
	uint64_t now;

	if (s->open_since_ns || !attach(w, true))
		return;
	now = agent_now_ns();
	probes_open_window(w->probes, now);
	s->windows++;
	s->open_since_ns = now;
}

static void close_window(struct windows *w)
{
	struct shared_windows *s = w->shared;
	uint64_t now;

	if (!s->open_since_ns)
		return;
	probes_open_window(w->probes, 0);
	now = agent_now_ns();
	__atomic_store_n(&s->sequence, s->sequence + 1, __ATOMIC_SEQ_CST);
	s->closed_ns += now - s->open_since_ns;
	s->open_since_ns = 0;
	__atomic_store_n(&s->sequence, s->sequence + 1, __ATOMIC_SEQ_CST);
	attach(w, false);
}

/* The pauses are random and independent of each other, so that no load that keeps a period of its
 * own can stay in step with the windows, or out of it. */
static void plan_next(struct windows *w, uint64_t now)
{
	uint64_t pause_ns = w->period_ns * w->stretch - w->window_ns;

	w->due_ns = now + random_below(2 * pause_ns + 1);
}

void windows_apply(struct windows *w, uint64_t now)
{
	struct shared_windows *s = w->shared;
	uint32_t mode = s->exact_until_ns ? SYSCALL_EXACT : s->configured;

	s->mode = mode < w->limit ? mode : w->limit;
	if (s->mode == SYSCALL_EXACT) {
		open_window(w);
		w->due_ns = s->exact_until_ns ? s->exact_until_ns : UINT64_MAX;
		return;
	}
	close_window(w);
	w->due_ns = UINT64_MAX;
	if (s->mode == SYSCALL_WINDOWS)
		plan_next(w, now);
	else if (s->exact_until_ns)
		w->due_ns = s->exact_until_ns;
}

void windows_init(struct windows *w, struct probes *p, struct shared_windows *s,
		  const struct config *config, uint64_t now)
{
	*w = (struct windows){.probes = p,
			      .shared = s,
			      .window_ns = config->syscall.window_ms * NS_PER_MS,
			      .period_ns = config->syscall.period_ms * NS_PER_MS,
			      .due_ns = UINT64_MAX,
			      .limit = SYSCALL_EXACT,
			      .stretch = 1};
	s->configured = config->syscall.mode;
	if (!probes_loaded(p, "syscall"))
		w->limit = SYSCALL_BLOCKED;
	windows_apply(w, now);
}

void windows_ask_exact(struct windows *w, uint64_t now, uint32_t seconds)
{
	w->shared->exact_until_ns = seconds ? now + seconds * NS_PER_S : 0;
	windows_apply(w, now);
}

void windows_run(struct windows *w, uint64_t now)
{
	struct shared_windows *s = w->shared;

	if (s->exact_until_ns && now >= s->exact_until_ns) {
		s->exact_until_ns = 0;
		windows_apply(w, now);
	}
	if (now < w->due_ns || s->mode != SYSCALL_WINDOWS)
		return;
	if (s->open_since_ns) {
		close_window(w);
		plan_next(w, now);
	} else {
		open_window(w);
		w->due_ns = now + w->window_ns;
	}
}
