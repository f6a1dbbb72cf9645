/* host_fixture.h - a folder of false /proc and /sys files, and a store to look at what they give.
 */
#ifndef TRIMTAB_HOST_FIXTURE_H
#define TRIMTAB_HOST_FIXTURE_H

#include <errno.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/store.h"

#define SECOND 1000000000ULL
#define FIXTURE_SERIES 4096

struct fixture {
	char root[64], proc[80], sys[80];
	void *mem;
	struct store *store;
};

static inline void fixture_mkdir(const char *root, const char *path)
{
	char full[512];

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(full, sizeof(full), "%s/%.*s", root, (int)(slash - path), path);
		assert_true(mkdir(full, 0700) == 0 || errno == EEXIST);
	}
}

static inline void fixture_bytes(const struct fixture *f, const char *path, const char *text,
				 size_t bytes)
{
	char full[512];
	FILE *file;

	fixture_mkdir(f->root, path);
	snprintf(full, sizeof(full), "%s/%s", f->root, path);
	file = fopen(full, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, bytes, file), bytes);
	assert_int_equal(fclose(file), 0);
}

static inline void fixture_write(const struct fixture *f, const char *path, const char *text)
{
	fixture_bytes(f, path, text, strlen(text));
}

static inline void fixture_new(struct fixture *f)
{
	size_t bytes = store_size(FIXTURE_SERIES, 1);

	snprintf(f->root, sizeof(f->root), "/tmp/trimtab-host-XXXXXX");
	assert_non_null(mkdtemp(f->root));
	snprintf(f->proc, sizeof(f->proc), "%s/proc", f->root);
	snprintf(f->sys, sizeof(f->sys), "%s/sys", f->root);
	f->mem = aligned_alloc(64, (bytes + 63) / 64 * 64);
	assert_non_null(f->mem);
	memset(f->mem, 0, bytes);
	f->store = store_open(f->mem, bytes, FIXTURE_SERIES, 1);
	assert_non_null(f->store);
}

static inline int fixture_unlink(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static inline void fixture_free(struct fixture *f)
{
	nftw(f->root, fixture_unlink, 16, FTW_DEPTH | FTW_PHYS);
	free(f->mem);
}

/* NaN: there is no such series */
static inline double fixture_value(const struct fixture *f, uint64_t now_ns, const char *name,
				   const char *labels)
{
	const struct series *s = store_find(f->store, now_ns, name, labels);

	return s ? s->value : NAN;
}

static inline unsigned fixture_count(const struct fixture *f, uint64_t now_ns, const char *name)
{
	const struct series *s;
	size_t cursor = 0;
	unsigned n = 0;

	while ((s = store_next(f->store, now_ns, &cursor)))
		n += !name || strcmp(s->metric->name, name) == 0;
	return n;
}

#endif
