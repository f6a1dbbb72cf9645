/* host_cgroup_test.c - cgroups from a folder of false v1 and v2 hierarchies: figures, which ones
 * are chosen, bounds, and names by inode. The clock is a number.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "core/agent.h"
#include "host_fixture.h"
#include "sense/cgroup_names.h"
#include "sense/cgroup_walk.h"
#include "sense/sense.h"

#define START (1000 * SECOND)
#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct cgroup_test {
	struct fixture f;
	struct config config;
	struct module_slot slot;
	struct agent agent;
	void *module;
	char mountinfo[128];
	uint64_t now_ns;
};

static int set_up(void **state)
{
	struct cgroup_test *t = calloc(1, sizeof(*t));

	fixture_new(&t->f);
	snprintf(t->mountinfo, sizeof(t->mountinfo), "%s/self/mountinfo", t->f.proc);
	t->config.host.enabled = true;
	t->config.agent.period_ms = 2000;
	t->slot.module = &cgroup_module;
	t->agent = (struct agent){.config = &t->config, .store = t->f.store, .current = &t->slot};
	t->now_ns = START;
	assert_int_equal(setenv("HOST_PROC", t->f.proc, 1), 0);
	*state = t;
	return 0;
}

static int tear_down(void **state)
{
	struct cgroup_test *t = *state;

	if (t->module)
		cgroup_module.fini(&t->agent, t->module);
	unsetenv("HOST_PROC");
	fixture_free(&t->f);
	free(t);
	return 0;
}

/* Writes mountinfo with the mounts of these kinds: '2' cgroup2, else a v1 controller's name; each
 * is at ROOT/cg/NAME, and is made with a file so that it is there. */
static void mounts(struct cgroup_test *t, const char *const *names)
{
	char text[4096], path[128];
	size_t used = 0;

	used += (size_t)snprintf(text, sizeof(text), "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n");
	for (; *names; names++) {
		bool v2 = strcmp(*names, "2") == 0;

		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 "30 1 0:30 / %s/cg/%s rw shared:9 - %s cgroup rw%s%s\n",
					 t->f.root, *names, v2 ? "cgroup2" : "cgroup",
					 v2 ? "" : ",", v2 ? "" : *names);
		snprintf(path, sizeof(path), "cg/%s/cgroup.procs", *names);
		fixture_write(&t->f, path, "");
	}
	fixture_write(&t->f, "proc/self/mountinfo", text);
}

static void start(struct cgroup_test *t)
{
	assert_int_equal(cgroup_module.init(&t->agent, &t->module), 0);
}

/* one round: as many ticks as share a walk */
static void round_of(struct cgroup_test *t)
{
	for (unsigned i = 0; i < 5; i++) {
		t->now_ns += 2 * SECOND;
		assert_int_equal(cgroup_module.tick(&t->agent, t->module, t->now_ns), 0);
	}
}

static double value(struct cgroup_test *t, const char *name, const char *labels)
{
	return fixture_value(&t->f, t->now_ns, name, labels);
}

static uint64_t inode(struct cgroup_test *t, const char *path)
{
	char full[512];
	struct stat st;

	snprintf(full, sizeof(full), "%s/cg/%s", t->f.root, path);
	assert_int_equal(stat(full, &st), 0);
	return st.st_ino;
}

static void figures_of_v2(void **state)
{
	const char *redis = "cgroup=\"/system.slice/redis.service\"";
	struct cgroup_test *t = *state;

	mounts(t, (const char *const[]){"2", NULL});
	fixture_write(&t->f, "cg/2/system.slice/redis.service/cpu.stat",
		      "usage_usec 2500000\nuser_usec 1\nnr_periods 10\nnr_throttled 4\n"
		      "throttled_usec 500000\n");
	fixture_write(&t->f, "cg/2/system.slice/redis.service/memory.current", "4096\n");
	fixture_write(&t->f, "cg/2/system.slice/redis.service/memory.max", "8192\n");
	fixture_write(&t->f, "cg/2/system.slice/redis.service/memory.events",
		      "low 0\nhigh 0\nmax 5\noom 1\noom_kill 3\n");
	fixture_write(&t->f, "cg/2/system.slice/redis.service/pids.current", "7\n");
	fixture_write(&t->f, "cg/2/system.slice/redis.service/io.pressure",
		      "some avg10=0.00 avg60=0.00 avg300=0.00 total=3000000\n"
		      "full avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\n");
	fixture_write(&t->f, "cg/2/system.slice/free.service/memory.max", "max\n");
	start(t);
	round_of(t);
	assert_float_equal(value(t, "trimtab_cgroup_cpu_seconds_total", redis), 2.5, 1e-9);
	assert_float_equal(value(t, "trimtab_cgroup_cpu_throttled_seconds_total", redis), 0.5,
			   1e-9);
	assert_float_equal(value(t, "trimtab_cgroup_cpu_throttled_periods_total", redis), 4, 0);
	assert_float_equal(value(t, "trimtab_cgroup_cpu_periods_total", redis), 10, 0);
	assert_float_equal(value(t, "trimtab_cgroup_memory_bytes", redis), 4096, 0);
	assert_float_equal(value(t, "trimtab_cgroup_memory_limit_bytes", redis), 8192, 0);
	assert_float_equal(value(t, "trimtab_cgroup_oom_kills_total", redis), 3, 0);
	assert_float_equal(value(t, "trimtab_cgroup_pids", redis), 7, 0);
	assert_float_equal(
	    value(t, "trimtab_cgroup_pressure_seconds_total",
		  "cgroup=\"/system.slice/redis.service\",resource=\"io\",kind=\"full\""),
	    1, 1e-9);
	/* no limit is no series; inner cgroups and the root have none either */
	assert_int_equal(fixture_count(&t->f, t->now_ns, "trimtab_cgroup_memory_limit_bytes"), 1);
	assert_int_equal(fixture_count(&t->f, t->now_ns, "trimtab_cgroup_cpu_seconds_total"), 1);
}

static void figures_of_v1(void **state)
{
	const char *box = "cgroup=\"/docker/" ID "\",container=\"0123456789ab\"";
	struct cgroup_test *t = *state;

	mounts(t, (const char *const[]){"cpu,cpuacct", "memory", "pids", NULL});
	fixture_write(&t->f, "cg/cpu,cpuacct/docker/" ID "/cpuacct.usage", "1500000000\n");
	fixture_write(&t->f, "cg/cpu,cpuacct/docker/" ID "/cpu.stat",
		      "nr_periods 2\nnr_throttled 1\nthrottled_time 250000000\n");
	fixture_write(&t->f, "cg/memory/docker/" ID "/memory.usage_in_bytes", "10\n");
	fixture_write(&t->f, "cg/memory/docker/" ID "/memory.limit_in_bytes",
		      "9223372036854771712\n");
	fixture_write(&t->f, "cg/memory/docker/" ID "/memory.oom_control",
		      "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
	fixture_write(&t->f, "cg/pids/docker/" ID "/pids.current", "3\n");
	start(t);
	round_of(t);
	assert_float_equal(value(t, "trimtab_cgroup_cpu_seconds_total", box), 1.5, 1e-9);
	assert_float_equal(value(t, "trimtab_cgroup_cpu_throttled_seconds_total", box), 0.25, 1e-9);
	assert_float_equal(value(t, "trimtab_cgroup_memory_bytes", box), 10, 0);
	assert_float_equal(value(t, "trimtab_cgroup_oom_kills_total", box), 2, 0);
	assert_float_equal(value(t, "trimtab_cgroup_pids", box), 3, 0);
	assert_true(isnan(value(t, "trimtab_cgroup_memory_limit_bytes", box)));
}

/* memory in v1, CPU time in v2 only, as on a hybrid system */
static void figures_of_both_at_once(void **state)
{
	struct cgroup_test *t = *state;

	mounts(t, (const char *const[]){"2", "memory", NULL});
	fixture_write(&t->f, "cg/2/a/cpu.stat", "usage_usec 1000000\n");
	fixture_write(&t->f, "cg/2/a/memory.current", "1\n");
	fixture_write(&t->f, "cg/memory/a/memory.usage_in_bytes", "77\n");
	start(t);
	round_of(t);
	assert_float_equal(value(t, "trimtab_cgroup_cpu_seconds_total", "cgroup=\"/a\""), 1, 1e-9);
	assert_float_equal(value(t, "trimtab_cgroup_memory_bytes", "cgroup=\"/a\""), 77, 0);
}

static void use(struct cgroup_test *t, unsigned group, unsigned usec)
{
	char path[64], text[64];

	snprintf(path, sizeof(path), "cg/2/g%u/cpu.stat", group);
	snprintf(text, sizeof(text), "usage_usec %u\n", usec);
	fixture_write(&t->f, path, text);
}

static void the_busiest_are_chosen(void **state)
{
	struct cgroup_test *t = *state;
	char labels[64];

	mounts(t, (const char *const[]){"2", NULL});
	for (unsigned i = 0; i < 100; i++)
		use(t, i, 1000000); /* what they used before does not matter */
	start(t);
	round_of(t);
	assert_int_equal(fixture_count(&t->f, t->now_ns, "trimtab_cgroup_cpu_seconds_total"), 64);
	for (unsigned i = 0; i < 100; i++)
		use(t, i, i >= 36 ? 2000000 + i : 1000000);
	round_of(t);
	t->now_ns += STORE_STALE_NS; /* those of the first choice are gone by then */
	round_of(t);
	assert_int_equal(fixture_count(&t->f, t->now_ns, "trimtab_cgroup_cpu_seconds_total"), 64);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(labels, sizeof(labels), "cgroup=\"/g%u\"", i);
		assert_int_equal(!isnan(value(t, "trimtab_cgroup_cpu_seconds_total", labels)),
				 i >= 36);
	}
	assert_float_equal(value(t, "trimtab_lost_total",
				 "probe=\"cgroup\",reason=\"too_many_cgroups\""),
			   3 * 36, 0);
}

static void directories_beyond_the_bound_are_counted(void **state)
{
	struct cgroup_test *t = *state;

	mounts(t, (const char *const[]){"2", NULL});
	for (unsigned i = 0; i < CGROUP_DIRS + 88; i++)
		use(t, i, 1);
	start(t);
	round_of(t);
	assert_float_equal(value(t, "trimtab_lost_total",
				 "probe=\"cgroup\",reason=\"too_many_directories\""),
			   89, 0); /* the root is one of the 512 */
}

static void a_cgroup_that_is_gone_ends(void **state)
{
	struct cgroup_test *t = *state;
	char path[128];

	mounts(t, (const char *const[]){"2", NULL});
	use(t, 1, 5);
	use(t, 2, 5);
	start(t);
	round_of(t);
	snprintf(path, sizeof(path), "%s/cg/2/g1/cpu.stat", t->f.root);
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/cg/2/g1", t->f.root);
	assert_int_equal(rmdir(path), 0);
	round_of(t);
	t->now_ns += STORE_STALE_NS - 8 * SECOND;
	round_of(t);
	assert_true(isnan(value(t, "trimtab_cgroup_cpu_seconds_total", "cgroup=\"/g1\"")));
	assert_float_equal(value(t, "trimtab_cgroup_cpu_seconds_total", "cgroup=\"/g2\""), 5e-6, 0);
}

static void series_stay_fresh_at_any_period(void **state)
{
	static const unsigned periods_ms[] = {500, 2000, 3000, 6000, 8000, 14000};
	struct cgroup_test *t = *state;

	mounts(t, (const char *const[]){"2", NULL});
	for (unsigned i = 0; i < 30; i++)
		use(t, i, 5);
	start(t);
	for (size_t p = 0; p < sizeof(periods_ms) / sizeof(periods_ms[0]); p++) {
		t->config.agent.period_ms = periods_ms[p];
		for (unsigned i = 0; i < 80; i++) {
			t->now_ns += periods_ms[p] * 1000000ULL;
			if (i > 40)
				assert_int_equal(fixture_count(&t->f, t->now_ns - 1,
							       "trimtab_cgroup_cpu_seconds_total"),
						 30);
			assert_int_equal(cgroup_module.tick(&t->agent, t->module, t->now_ns), 0);
		}
	}
}

static void no_hierarchy_is_said(void **state)
{
	struct cgroup_test *t = *state;

	assert_int_equal(cgroup_module.init(&t->agent, &t->module), -ENOTSUP);
	mounts(t, (const char *const[]){NULL});
	assert_int_equal(cgroup_module.init(&t->agent, &t->module), -ENOTSUP);
	assert_non_null(strstr(t->slot.reason, t->mountinfo));
	assert_null(t->module);
	cgroup_module.fini(&t->agent, NULL);
}

static void names_by_id(void **state)
{
	struct cgroup_test *t = *state;
	struct cgroup_names *names = cgroup_names_new(t->mountinfo);

	assert_non_null(names);
	mounts(t, (const char *const[]){"2", "memory", "blkio", NULL});
	fixture_write(&t->f, "cg/2/system.slice/redis.service/x", "");
	fixture_write(&t->f, "cg/memory/only/here/x", "");
	fixture_write(&t->f, "cg/blkio/disk/x", "");
	assert_string_equal(cgroup_name(names, inode(t, "2/system.slice/redis.service"), START),
			    "/system.slice/redis.service");
	assert_string_equal(cgroup_name(names, inode(t, "2/system.slice"), START), "/system.slice");
	assert_string_equal(cgroup_name(names, inode(t, "2"), START), "/");
	assert_string_equal(cgroup_name(names, inode(t, "memory/only/here"), START), "/only/here");
	assert_string_equal(cgroup_name(names, inode(t, "blkio/disk"), START), "/disk");
	assert_string_equal(cgroup_name(names, 4711, START), "cgroup:4711");
	cgroup_names_free(names);
	cgroup_names_free(NULL);
}

static void names_are_looked_for_again_after_a_while(void **state)
{
	struct cgroup_test *t = *state;
	struct cgroup_names *names = cgroup_names_new(t->mountinfo);
	char want[64];
	uint64_t id;

	mounts(t, (const char *const[]){"2", NULL});
	assert_string_equal(cgroup_name(names, 1, START), "cgroup:1");
	fixture_write(&t->f, "cg/2/late/x", "");
	id = inode(t, "2/late");
	snprintf(want, sizeof(want), "cgroup:%llu", (unsigned long long)id);
	assert_string_equal(cgroup_name(names, id, START + CGROUP_NAMES_AGE_NS - 1), want);
	assert_string_equal(cgroup_name(names, id, START + CGROUP_NAMES_AGE_NS), "/late");
	cgroup_names_free(names);
}

static void four_answers_live_at_once(void **state)
{
	struct cgroup_test *t = *state;
	struct cgroup_names *names = cgroup_names_new(t->mountinfo);
	const char *answer[4];

	mounts(t, (const char *const[]){"2", NULL});
	for (unsigned i = 0; i < 4; i++)
		answer[i] = cgroup_name(names, i + 1, START);
	assert_string_equal(answer[0], "cgroup:1");
	assert_string_equal(answer[3], "cgroup:4");
	cgroup_names_free(names);
}

static void more_names_than_room(void **state)
{
	struct cgroup_test *t = *state;
	struct cgroup_names *names = cgroup_names_new(t->mountinfo);
	unsigned known = 0;
	char path[64];

	mounts(t, (const char *const[]){"2", "memory", NULL});
	for (unsigned i = 0; i < 600; i++) {
		snprintf(path, sizeof(path), "cg/%s/g%u/x", i % 2 ? "2" : "memory", i);
		fixture_write(&t->f, path, "");
	}
	for (unsigned i = 0; i < 600; i++) {
		snprintf(path, sizeof(path), "%s/g%u", i % 2 ? "2" : "memory", i);
		known += strncmp(cgroup_name(names, inode(t, path), START), "/g", 2) == 0;
	}
	assert_int_equal(known, CGROUP_NAMES_MAX - 2); /* and the two roots */
	cgroup_names_free(names);
}

static void container_ids(void **state)
{
	static const struct {
		const char *path, *id;
	} cases[] = {
	    {"/docker/" ID, "0123456789ab"},
	    {"/kubepods.slice/kubepods-pod1.slice/cri-containerd-" ID ".scope", "0123456789ab"},
	    {"/" ID "/inner", ""},
	    {"/docker/" ID "0", ""}, /* 65 digits */
	    {"/system.slice/redis.service", ""},
	    {"/", ""},
	    {"", ""},
	};
	char id[CGROUP_CONTAINER_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cgroup_names_container(cases[i].path, id);
		assert_string_equal(id, cases[i].id);
	}
}

static void long_paths_keep_their_end(void **state)
{
	char path[600], shown[CGROUP_PATH_MAX];

	memset(path, 'x', sizeof(path));
	memcpy(path + sizeof(path) - 6, "/last", 6);
	cgroup_walk_shorten(path, shown);
	assert_int_equal(strlen(shown), CGROUP_PATH_MAX - 1);
	assert_memory_equal(shown, "...x", 4);
	assert_string_equal(shown + CGROUP_PATH_MAX - 6, "/last");
	cgroup_walk_shorten("/short", shown);
	assert_string_equal(shown, "/short");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	    TEST(figures_of_v2),
	    TEST(figures_of_v1),
	    TEST(figures_of_both_at_once),
	    TEST(the_busiest_are_chosen),
	    TEST(directories_beyond_the_bound_are_counted),
	    TEST(a_cgroup_that_is_gone_ends),
	    TEST(series_stay_fresh_at_any_period),
	    TEST(no_hierarchy_is_said),
	    TEST(names_by_id),
	    TEST(names_are_looked_for_again_after_a_while),
	    TEST(four_answers_live_at_once),
	    TEST(more_names_than_room),
	    TEST(container_ids),
	    TEST(long_paths_keep_their_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
