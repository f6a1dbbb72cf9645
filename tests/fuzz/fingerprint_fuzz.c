/* fingerprint_fuzz.c - libFuzzer target: any bytes as a statement, and as a literal in one.
 *
 * The fingerprint stays within its bound and is UTF-8 without controls. Of a literal that is quoted
 * in each of the ways there are nothing is shown, whole or cut.
 */
/* objects: agent/sense/fingerprint.c agent/sense/sql.c */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "sense/fingerprint.h"

#define INPUT_MAX 4096
#define HEAD "select "
#define TAIL " from t"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_text(const char *text, size_t n)
{
	must(n < FINGERPRINT_MAX && strlen(text) == n);
	for (size_t i = 0; i < n;) {
		unsigned char c = (unsigned char)text[i++];

		must(c >= ' ' && c != 0x7f && (c < 0x80 || (c >= 0xc2 && c <= 0xf4)));
		for (int k = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3; k; k--)
			must(((unsigned char)text[i++] & 0xc0) == 0x80);
	}
}

/* In memory of just its size. */
static void make(const char *text, size_t n, bool cut, char ret[FINGERPRINT_MAX])
{
	char *copy = malloc(n + !n);

	must(copy != NULL);
	memcpy(copy, text, n);
	check_text(ret, fingerprint(copy, n, cut, ret));
	free(copy);
}

/* open, the bytes with `escape` before each that the quotes need it for, close. */
static size_t quote(char *to, const char *open, const char *close, char escape, const uint8_t *data,
		    size_t size)
{
	size_t n = (size_t)(stpcpy(stpcpy(to, HEAD), open) - to);

	for (size_t i = 0; i < size; i++) {
		if (escape && (data[i] == '\'' || data[i] == (uint8_t)escape))
			to[n++] = escape;
		to[n++] = (char)data[i];
	}
	return (size_t)(stpcpy(stpcpy(to + n, close), TAIL) - to);
}

static void check_hidden(const char *text, size_t n)
{
	static const char *const shown[] = {HEAD "?" TAIL, HEAD "?" TAIL "...",
					    HEAD "...",	   HEAD "? ...",
					    HEAD "?...",   HEAD "? from ...",
					    "select ...",  "select...",
					    "...",	   HEAD "?" TAIL " ..."};
	char got[FINGERPRINT_MAX];

	for (size_t cut = 0; cut < 24 && cut < n; cut++) {
		bool known = false;

		make(text, n - cut, cut, got);
		for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
			known = known || strcmp(got, shown[i]) == 0;
		must(known);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[2 * INPUT_MAX + 64];
	char got[FINGERPRINT_MAX];

	size = size < INPUT_MAX ? size : INPUT_MAX;
	make((const char *)data, size, false, got);
	make((const char *)data, size, true, got);
	check_hidden(text, quote(text, "'", "'", '\'', data, size));
	check_hidden(text, quote(text, "E'", "'", '\\', data, size));
	if (!memmem(data, size, "$", 1))
		check_hidden(text, quote(text, "$a$", "$a$", 0, data, size));
	return 0;
}
