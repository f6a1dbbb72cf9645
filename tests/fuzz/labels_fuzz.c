/* labels_fuzz.c - libFuzzer target: any bytes as label names and values.
 *
 * The text stays within its bound and reads back as name="value" pairs of whole escapes and whole
 * UTF-8 characters; the same labels give the same series.
 */
/* objects: agent/store/labels.c agent/store/store.c agent/store/store_places.c */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "store/store.h"

#define NAMES_MAX 3
#define INPUT_MAX 8192

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Bytes that a continuation must have after this first byte; the store may write no other. */
static int continuation(unsigned char c)
{
	must(c < 0x80 || (c >= 0xc2 && c <= 0xf4));
	return c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
}

static const char *check_value(const char *c)
{
	while (*c != '"') {
		must(*c != '\0' && *c != '\n');
		if (*c == '\\') {
			must(c[1] == '\\' || c[1] == '"' || c[1] == 'n');
			c += 2;
			continue;
		}
		for (int n = continuation((unsigned char)*c++); n; n--, c++)
			must(((unsigned char)*c & 0xc0) == 0x80);
	}
	return c;
}

static void check_text(const char *text)
{
	static const char letters[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
	const char *c = text;

	must(strnlen(text, STORE_LABELS_MAX) < STORE_LABELS_MAX);
	while (*c) {
		must((*c < '0' || *c > '9') && *c != '=');
		c += strspn(c, letters);
		must(c[0] == '=' && c[1] == '"');
		c = check_value(c + 2) + 1;
		if (*c == ',')
			must(*++c != '\0');
		else
			must(*c == '\0');
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct metric gauge = {"fuzz", METRIC_GAUGE, "", "", ""};
	static _Alignas(64) char mem[65536];
	static char text[INPUT_MAX + 1];
	const char *part[2 * NAMES_MAX];
	struct store *s = store_open(mem, sizeof(mem), 4, 1);
	const struct series *x;
	struct store_stats stats;
	size_t cursor = 0, n = 0;

	must(s != NULL);
	size = size < INPUT_MAX ? size : INPUT_MAX;
	memcpy(text, data, size);
	text[size] = '\0';
	for (char *at = text; n < 2 * NAMES_MAX; n++) { /* C strings, one behind the other */
		part[n] = at;
		at += strlen(at);
		at += at < text + size;
	}
	for (int i = 0; i < 2; i++)
		store_set(s, &gauge, 1, i, part[0], part[1], part[2], part[3], part[4], part[5],
			  NULL);
	x = store_next(s, 1, &cursor);
	must(x != NULL && x->value == 1);
	check_text(x->labels);
	must(store_find(s, 1, "fuzz", x->labels) == x);
	must(store_open(mem, sizeof(mem), 4, 1) == s && store_find(s, 1, "fuzz", x->labels) == x);
	store_get_stats(s, &stats);
	must(stats.series == 1 && stats.dropped == 0);
	memset(mem, 0, sizeof(mem));
	return 0;
}
