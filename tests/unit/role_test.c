/* role_test.c - when the keeper starts a role again, when not, and which one it takes to hang. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "core/role.h"

#define S 1000000000ULL
#define EXITED(code) ((code) << 8)

static int wait_for_ever(void *arg, int keeper_fd)
{
	for (;;)
		pause();
	return 0;
}

static int end_at_once(void *arg, int keeper_fd)
{
	return *(int *)arg;
}

/* A role that ran for ran_ns and was killed; returns how long the keeper waits then. */
static uint64_t ended_after(struct role_process *r, uint64_t ran_ns)
{
	uint64_t now = r->started_ns + ran_ns;

	assert_false(role_ended(r, SIGKILL, now));
	return r->due_ns - now;
}

static void test_backoff_doubles_to_its_end(void **state)
{
	struct shared_role shared = {};
	struct role_process r;
	uint64_t want = ROLE_BACKOFF_MIN_NS;

	role_init(&r, &shared, "agent", wait_for_ever, NULL);
	assert_int_equal(r.due_ns, 0);
	for (int i = 0; i < 20; i++) {
		r.started_ns = (i + 1) * 1000 * S;
		assert_int_equal(ended_after(&r, S), want);
		want = 2 * want < ROLE_BACKOFF_MAX_NS ? 2 * want : ROLE_BACKOFF_MAX_NS;
	}
	assert_int_equal(shared.restarts, 20);
	assert_int_equal(shared.last_status, SIGKILL);
}

static void test_backoff_begins_anew_once_healthy(void **state)
{
	struct shared_role shared = {};
	struct role_process r;

	role_init(&r, &shared, "agent", wait_for_ever, NULL);
	r.started_ns = S;
	for (int i = 0; i < 5; i++)
		ended_after(&r, S);
	assert_true(ended_after(&r, ROLE_HEALTHY_NS - 1) > ROLE_BACKOFF_MIN_NS);
	assert_int_equal(ended_after(&r, ROLE_HEALTHY_NS), ROLE_BACKOFF_MIN_NS);
	assert_int_equal(ended_after(&r, S), 2 * ROLE_BACKOFF_MIN_NS);
}

/* A real child, whose status is what waitpid() says. */
static int run_to_its_end(struct role_process *r, uint64_t now)
{
	int status = -1;

	assert_int_equal(role_start(r, now), 0);
	assert_true(r->pid > 0);
	assert_true(r->fd >= 0);
	assert_int_equal(r->due_ns, UINT64_MAX);
	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	return status;
}

static void test_refused_configuration_is_no_crash(void **state)
{
	struct shared_role shared = {};
	struct role_process r;
	int code = ROLE_EXIT_CONFIG;

	role_init(&r, &shared, "agent", end_at_once, &code);
	assert_true(role_ended(&r, run_to_its_end(&r, S), 2 * S));
	assert_int_equal(r.pid, 0);
	assert_int_equal(r.fd, -1);
	assert_int_equal(shared.pid, 0);

	code = 1;
	assert_false(role_ended(&r, run_to_its_end(&r, 3 * S), 4 * S));
	assert_int_equal(shared.last_status, EXITED(1));
}

/* One that has run once and then says so is started again: the port may be free in a moment. */
static void test_configuration_is_not_to_blame_after_a_beat(void **state)
{
	struct shared_role shared = {};
	struct role_process r;

	role_init(&r, &shared, "agent", end_at_once, &(int){ROLE_EXIT_CONFIG});
	int status = run_to_its_end(&r, S);

	shared.beats++;
	assert_false(role_ended(&r, status, 2 * S));
}

static void test_stop(void **state)
{
	struct shared_role shared = {};
	struct role_process r;

	role_init(&r, &shared, "agent", wait_for_ever, NULL);
	role_stop(&r); /* not running: nothing to do */
	assert_int_equal(role_start(&r, S), 0);
	role_stop(&r);
	assert_int_equal(r.pid, 0);
	assert_int_equal(r.fd, -1);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
}

static void test_watch(void **state)
{
	struct shared_role shared = {};
	struct role_process r;
	uint64_t now = S;
	int status = 0;

	role_init(&r, &shared, "agent", wait_for_ever, NULL);
	assert_int_equal(role_start(&r, now), 0);
	/* it beats: never killed, however long */
	for (int i = 0; i < 100; i++) {
		shared.beats++;
		role_watch(&r, 10 * S, now += S);
	}
	assert_int_equal(waitpid(r.pid, &status, WNOHANG), 0);
	/* a long pause of the keeper is one look, not ten */
	role_watch(&r, 10 * S, now += 3600 * S);
	assert_int_equal(waitpid(r.pid, &status, WNOHANG), 0);
	/* it beats no more */
	for (int i = 0; i < 2 * ROLE_WATCH_LOOKS; i++)
		role_watch(&r, 10 * S, now += S);
	assert_int_equal(waitpid(r.pid, &status, 0), r.pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_false(role_ended(&r, status, now));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_backoff_doubles_to_its_end),
	    cmocka_unit_test(test_backoff_begins_anew_once_healthy),
	    cmocka_unit_test(test_refused_configuration_is_no_crash),
	    cmocka_unit_test(test_configuration_is_not_to_blame_after_a_beat),
	    cmocka_unit_test(test_stop),
	    cmocka_unit_test(test_watch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
