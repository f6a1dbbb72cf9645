/* floor.c - loads a BPF object, attaches its programs and holds them until it is ended.
 *
 *   floor [--programs a,b,...] [--set variable=number] [--entries map=number] OBJECT.bpf.o
 *   floor --stats
 *
 * --programs  load and attach just these; without it all that libbpf can attach by their section
 * --set       a number in .rodata (const volatile), as the program that owns the object would set
 * --entries   the size of a map, likewise
 * --stats     no object: keep the kernel's BPF run-time statistics on. They go off when this ends,
 *             however it ends, which a write to the sysctl would not.
 *
 * Prints "ready N" (N programs attached) when the programs are in place, then waits for a signal or
 * for the end of its standard input. Exit 1 with one line on standard error when it cannot. At most
 * LINKS_MAX programs.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#define LINKS_MAX 64
#define NAME_MAX_BYTES 64

__attribute__((format(printf, 2, 0))) static int quiet(enum libbpf_print_level level,
						       const char *format, va_list args)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, args) : 0;
}

static bool listed(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = list; (at = strstr(at, name)); at += n)
		if ((at == list || at[-1] == ',') && (at[n] == ',' || !at[n]))
			return true;
	return false;
}

/* "name=number" */
static int parse_pair(const char *text, char ret_name[NAME_MAX_BYTES],
		      unsigned long long *ret_value)
{
	const char *equals = strchr(text, '=');
	char *end;

	if (!equals || equals == text || equals - text >= NAME_MAX_BYTES)
		return -EINVAL;
	errno = 0;
	*ret_value = strtoull(equals + 1, &end, 0);
	if (errno || end == equals + 1 || *end)
		return -EINVAL;
	memcpy(ret_name, text, equals - text);
	ret_name[equals - text] = 0;
	return 0;
}

/* Finds a variable of .rodata through the object's BTF. */
static const struct btf_var_secinfo *find_variable(const struct btf *btf, const char *name)
{
	int id = btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC);
	const struct btf_type *section = id > 0 ? btf__type_by_id(btf, id) : NULL;

	for (int i = 0; section && i < btf_vlen(section); i++) {
		const struct btf_var_secinfo *v = btf_var_secinfos(section) + i;
		const struct btf_type *var = btf__type_by_id(btf, v->type);

		if (!strcmp(btf__name_by_offset(btf, var->name_off), name))
			return v;
	}
	return NULL;
}

static struct bpf_map *find_rodata(struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map (map, object) {
		size_t n = strlen(bpf_map__name(map));

		if (n >= 7 && !strcmp(bpf_map__name(map) + n - 7, ".rodata"))
			return map;
	}
	return NULL;
}

static int set_variable(struct bpf_object *object, const char *pair)
{
	char name[NAME_MAX_BYTES];
	unsigned long long value;
	const struct btf_var_secinfo *v;
	struct bpf_map *map;
	const void *data;
	size_t bytes;
	char *copy;
	int err;

	if (parse_pair(pair, name, &value))
		return -EINVAL;
	v = find_variable(bpf_object__btf(object), name);
	if (!v || v->size > sizeof(value))
		return -ENOENT;
	map = find_rodata(object);
	data = map ? bpf_map__initial_value(map, &bytes) : NULL;
	if (!data || v->offset + v->size > bytes)
		return -ENOENT;
	copy = malloc(bytes);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, bytes);
	memcpy(copy + v->offset, &value, v->size); /* little endian */
	err = bpf_map__set_initial_value(map, copy, bytes);
	free(copy);
	return err;
}

static int set_entries(struct bpf_object *object, const char *pair)
{
	char name[NAME_MAX_BYTES];
	unsigned long long value;
	struct bpf_map *map;

	if (parse_pair(pair, name, &value))
		return -EINVAL;
	map = bpf_object__find_map_by_name(object, name);
	return map ? bpf_map__set_max_entries(map, value) : -ENOENT;
}

static int attach_all(struct bpf_object *object, struct bpf_link *links[LINKS_MAX])
{
	struct bpf_program *program;
	int n = 0;

	bpf_object__for_each_program (program, object) {
		struct bpf_link *link;

		if (!bpf_program__autoload(program) || n == LINKS_MAX)
			continue;
		link = bpf_program__attach(program);
		if (link)
			links[n++] = link;
		else
			fprintf(stderr, "floor: not attached: %s: %s\n", bpf_program__name(program),
				strerror(errno));
	}
	return n;
}

static void choose_programs(struct bpf_object *object, const char *list)
{
	struct bpf_program *program;

	bpf_object__for_each_program (program, object)
		bpf_program__set_autoload(program, listed(list, bpf_program__name(program)));
}

static void wait_for_end(void)
{
	char byte;

	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}

static int hold_stats(void)
{
	int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	if (fd < 0) {
		fprintf(stderr, "floor: BPF statistics: %s; needs root and Linux 5.8\n",
			strerror(errno));
		return 1;
	}
	printf("ready 0\n");
	fflush(stdout);
	wait_for_end();
	close(fd);
	return 0;
}

static int hold_object(struct bpf_object *object)
{
	struct bpf_link *links[LINKS_MAX];
	int n, err = bpf_object__load(object);

	if (err) {
		fprintf(stderr, "floor: load: %s\n", strerror(-err));
		return 1;
	}
	n = attach_all(object, links);
	if (!n) {
		fprintf(stderr, "floor: no program of the object could be attached\n");
		return 1;
	}
	printf("ready %d\n", n);
	fflush(stdout);
	wait_for_end();
	while (n)
		bpf_link__destroy(links[--n]);
	return 0;
}

/* Options are applied in a second pass: the object is named last. */
static int configure(struct bpf_object *object, int argc, char **argv, const struct option *options)
{
	int c, err = 0;

	optind = 1;
	while (!err && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'p')
			choose_programs(object, optarg);
		else if (c == 's')
			err = set_variable(object, optarg);
		else if (c == 'e')
			err = set_entries(object, optarg);
		if (err)
			fprintf(stderr, "floor: %s: no such variable or map, or no number: %s\n",
				optarg, strerror(-err));
	}
	return err;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"programs", required_argument, NULL, 'p'},
	    {"set", required_argument, NULL, 's'},
	    {"entries", required_argument, NULL, 'e'},
	    {"stats", no_argument, NULL, 'S'},
	    {},
	};
	struct bpf_object *object = NULL;
	int c, ret = 1;

	libbpf_set_print(quiet);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (c == 'S')
			return hold_stats();
	if (optind != argc - 1) {
		fprintf(stderr, "floor: give one BPF object file; see the head of floor.c\n");
		return 2;
	}
	object = bpf_object__open(argv[optind]);
	if (!object) {
		fprintf(stderr, "floor: open %s: %s\n", argv[optind], strerror(errno));
		return 1;
	}
	if (!configure(object, argc, argv, options))
		ret = hold_object(object);
	bpf_object__close(object);
	return ret;
}
