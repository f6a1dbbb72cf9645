/* service_names_test.c - names of services from the paths of cgroups, and from false directories of
 * the kubelet's logs.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/stat.h>
#include "host_fixture.h"
#include "sense/service_names.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID2 "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define UUID "8f0b1c2d-3e4f-4a5b-8c6d-7e8f9a0b1c2d"
#define UUID_ "8f0b1c2d_3e4f_4a5b_8c6d_7e8f9a0b1c2d"
#define HASH "b4d0a3d1c2e5f60718293a4b5c6d7e8f"
#define POD_SLICE "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod"

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_new(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	fixture_free(*state);
	free(*state);
	return 0;
}

static void expect(const struct fixture *f, const char *path, const char *want, bool known)
{
	char name[SERVICE_NAMES_MAX];

	if (service_names_find(f->root, path, "nginx", name) != known || strcmp(name, want) != 0)
		fail_msg("%s: \"%s\" instead of \"%s\"", path, name, want);
}

static void units(void **state)
{
	static const struct {
		const char *path, *name;
	} cases[] = {
	    {"/system.slice/redis-server.service", "redis-server"},
	    {"/system.slice/system-postgresql.slice/postgresql@15-main.service",
	     "postgresql@15-main"},
	    {"/system.slice/docker.service/worker", "docker"},
	    {"/app.slice/app-web.scope", "app-web"},
	    {"/user.slice/user-1000.slice/user@1000.service/app.slice/web.service", "web"},
	    {"/machine.slice/machine-web1.scope/payload/system.slice/nginx.service",
	     "machine-web1/nginx"},
	    {"/lxc.payload.web1/system.slice/redis.service", "web1/redis"},
	    {"/lxc.payload.web1/init.scope", "web1"},
	    {"/lxc/web2/system.slice/redis.service", "web2/redis"},
	    {"...cut-off.service/system.slice/redis.service", "redis"},
	    {"/system.slice/run-report.service", "run-report"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect(*state, cases[i].path, cases[i].name, true);
}

static void places_that_say_nothing(void **state)
{
	static const char *const paths[] = {
	    "/",
	    "",
	    "/init.scope",
	    "/user.slice/user-1000.slice/session-3.scope",
	    "/user.slice/user-0.slice/session-c1.scope",
	    "/user.slice/user-1000.slice/user@1000.service/init.scope",
	    ("/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-" UUID ".scope"),
	    ("/user.slice/user-1000.slice/user@1000.service/tmux-spawn-" UUID ".scope"),
	    "/system.slice/run-u12.service",
	    ("/system.slice/run-r" HASH ".service"),
	    "/system.slice/run-p12-i34.service",
	    ("/system.slice/run-r" HASH ".scope"),
	    "/system.slice",
	    "/some/directory/made/by/hand",
	    ("/process/" HASH),
	    "/.service",
	};
	char name[SERVICE_NAMES_MAX];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		expect(*state, paths[i], "nginx", true);
	service_names_find("/nonexistent", "/", "", name);
	assert_string_equal(name, "unknown");
}

static void containers(void **state)
{
	expect(*state, "/docker/" ID, "container:0123456789ab", true);
	expect(*state, "/system.slice/docker-" ID ".scope", "container:0123456789ab", true);
	expect(*state, "/machine.slice/libpod-" ID ".scope/container", "container:0123456789ab",
	       true);
	expect(*state,
	       "/machine.slice/machine-libpod_pod_" ID ".slice/libpod-" ID2 ".scope/container",
	       "container:fedcba987654", true);
	expect(*state, "/docker/" ID "/system.slice/nginx.service", "container:0123456789ab", true);
	expect(*state, "/docker/" ID "0", "nginx", true); /* 65 digits */
}

static void container_of_a_path(void **state)
{
	char id[SERVICE_NAMES_CONTAINER_MAX];

	service_names_container("/docker/" ID "/docker/" ID2 "/inner", id);
	assert_string_equal(id, "fedcba987654");
	service_names_container("/system.slice/redis.service", id);
	assert_string_equal(id, "");
}

static void pods_by_container(void **state)
{
	struct fixture *f = *state;

	expect(f, POD_SLICE UUID_ ".slice/cri-containerd-" ID ".scope", "container:0123456789ab",
	       false);
	fixture_write(f, "containers/web-7d4-x2_shop_nginx-" ID2 ".log", "");
	fixture_write(f, "containers/web-7d4-x2_shop_php-" ID ".log", "");
	fixture_write(f, "containers/broken-" ID ".txt", "");
	expect(f, POD_SLICE UUID_ ".slice/cri-containerd-" ID ".scope", "shop/web-7d4-x2/php",
	       true);
	expect(f, "/kubepods/besteffort/pod" UUID "/" ID2, "shop/web-7d4-x2/nginx", true);
	expect(f, "/docker/" ID "/kubelet/kubepods/pod" UUID "/" ID2 "/system.slice/x.service",
	       "shop/web-7d4-x2/nginx", true);
	/* the id of a container that is in no pod is not looked up */
	expect(f, "/docker/" ID, "container:0123456789ab", true);
}

static void pods_by_uid(void **state)
{
	struct fixture *f = *state;

	fixture_write(f, "pods/shop_web-7d4-x2_" UUID "/php/0.log", "");
	fixture_write(f, "pods/kube-system_etcd-node1_" HASH "/etcd/0.log", "");
	expect(f, POD_SLICE UUID_ ".slice/crio-" ID ".scope", "shop/web-7d4-x2/php", true);
	expect(f, POD_SLICE HASH ".slice/crio-" ID ".scope", "kube-system/etcd-node1/etcd", true);
	expect(f, "/kubepods/pod" UUID, "shop/web-7d4-x2/php", true);
	fixture_write(f, "pods/shop_web-7d4-x2_" UUID "/init/0.log", "");
	expect(f, POD_SLICE UUID_ ".slice/crio-" ID ".scope", "shop/web-7d4-x2", true);
}

static void what_only_looks_like_a_pod(void **state)
{
	struct fixture *f = *state;

	fixture_write(f, "pods/shop_web_" UUID "/php/0.log", "");
	fixture_write(f, "pods/noseparator" HASH "/php/0.log", "");
	expect(f, "/mypod" UUID, "nginx", true);
	expect(f, "/pod" UUID "0/x", "nginx", true);
	expect(f, "/pod8f0b1c2d-3e4f-4a5b-8c6d7-e8f9a0b1c2d", "nginx", true);
	expect(f, "/podcast.service", "podcast", true);
	expect(f, "/pod" HASH, "nginx", false);
}

static void long_names_stay_apart(void **state)
{
	char path[200], one[SERVICE_NAMES_MAX], two[SERVICE_NAMES_MAX];

	memset(path, 'a', sizeof(path));
	path[0] = '/';
	strcpy(path + sizeof(path) - 10, "1.service");
	service_names_find("", path, "", one);
	path[sizeof(path) - 10] = '2';
	service_names_find("", path, "", two);
	assert_int_equal(strlen(one), SERVICE_NAMES_MAX - 1);
	assert_int_equal(strlen(two), SERVICE_NAMES_MAX - 1);
	assert_int_equal(one[SERVICE_NAMES_MAX - 10], '~');
	assert_memory_equal(one, two, SERVICE_NAMES_MAX - 10);
	assert_string_not_equal(one, two);
	/* the longest that needs no cut */
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	strcpy(path + SERVICE_NAMES_MAX, ".service");
	service_names_find("", path, "", one);
	assert_int_equal(strlen(one), SERVICE_NAMES_MAX - 1);
	assert_null(strchr(one, '~'));
}

static void only_printable_characters(void **state)
{
	char name[SERVICE_NAMES_MAX];

	service_names_find("", "/a\"\n\xc3\xa9\x7f.service", "", name);
	assert_string_equal(name, "a\"????");
	service_names_find("", "/", "x\ty", name);
	assert_string_equal(name, "x?y");
	service_names_print("ab", 1, name, sizeof(name));
	assert_string_equal(name, "a");
	service_names_print("abc", 3, name, 3);
	assert_string_equal(name, "ab");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	    TEST(units),
	    TEST(places_that_say_nothing),
	    TEST(containers),
	    TEST(container_of_a_path),
	    TEST(pods_by_container),
	    TEST(pods_by_uid),
	    TEST(what_only_looks_like_a_pod),
	    TEST(long_names_stay_apart),
	    TEST(only_printable_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
