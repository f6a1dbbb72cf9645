/* labels.c - label pairs as the text that Prometheus reads: see labels.h.
 *
 * Cost: one pass over the values for a set that fits, about 1 ns a byte; a set that must be cut
 * takes up to eight passes of STORE_LABELS_MAX bytes and one over each whole value.
 */
#include "store/labels.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "store/store.h"

#define HASH_A 0x9e3779b97f4a7c15ULL
#define HASH_B 0xd6e8feb86659fd93ULL
#define CUT_BYTES 40 /* of a value, in the last resort */

struct pairs {
	size_t n;
	const char *name[LABELS_PAIRS_MAX], *value[LABELS_PAIRS_MAX];
};

/* Text that grows up to its end; one byte behind `end` is kept for the closing NUL. */
struct text {
	char *start, *at, *end;
};

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 p = (unsigned __int128)a * b;

	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

uint64_t labels_hash(uint64_t seed, const char *text, size_t bytes)
{
	uint64_t h = seed ^ (HASH_A + bytes), word = 0;

	for (; bytes >= 8; text += 8, bytes -= 8) {
		memcpy(&word, text, 8);
		h = mix(h ^ word, HASH_B) + HASH_A;
	}
	word = 0;
	memcpy(&word, text, bytes);
	return mix(h ^ word, HASH_B) ^ h;
}

/* Bytes of the UTF-8 character at v (a C string); 0 if there is none. */
static size_t utf8_length(const unsigned char *v)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n = v[0] < 0xe0 ? 2 : v[0] < 0xf0 ? 3 : 4;

	if (v[0] < 0x80)
		return 1;
	if (v[0] < 0xc2 || v[0] > 0xf4)
		return 0;
	if (v[0] == 0xe0) /* shorter forms, surrogates, and beyond U+10FFFF are not UTF-8 */
		low = 0xa0;
	else if (v[0] == 0xed)
		high = 0x9f;
	else if (v[0] == 0xf0)
		low = 0x90;
	else if (v[0] == 0xf4)
		high = 0x8f;
	if (v[1] < low || v[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (v[i] < 0x80 || v[i] > 0xbf)
			return 0;
	return n;
}

/* Writes the character at *v, which is not plain, and moves *v behind it; false if there is no
 * room, and then nothing is written. */
static bool put_special(char **at, const char *end, const unsigned char **v)
{
	const char *from = (const char *)*v;
	size_t used = 1, n;

	if (**v == '\\' || **v == '"' || **v == '\n') {
		from = **v == '\\' ? "\\\\" : **v == '"' ? "\\\"" : "\\n";
		n = 2;
	} else {
		n = used = utf8_length(*v);
		if (!n) {
			from = "?";
			n = used = 1;
		}
	}
	if ((size_t)(end - *at) < n)
		return false;
	memcpy(*at, from, n);
	*at += n;
	*v += used;
	return true;
}

/* Writes what fits of a value in whole characters; true if that is all of it. */
static bool put_value(struct text *t, const char *value, size_t max)
{
	const unsigned char *v = (const unsigned char *)value;
	const char *end = (size_t)(t->end - t->at) < max ? t->end : t->at + max;
	char *at = t->at;

	while (*v) {
		if (*v < 0x80 && *v != '"' && *v != '\\' && *v != '\n') {
			if (at == end)
				break;
			*at++ = (char)*v++;
		} else if (!put_special(&at, end, &v)) {
			break;
		}
	}
	t->at = at;
	return !*v;
}

static bool put_name(struct text *t, const char *name)
{
	if (!*name)
		name = "_";
	for (const char *c = name; *c; c++) {
		bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '_';

		if (t->at == t->end)
			return false;
		*t->at++ = letter || (*c >= '0' && *c <= '9' && c != name) ? *c : '_';
	}
	return true;
}

static bool put_text(struct text *t, const char *text)
{
	size_t n = strlen(text);

	if ((size_t)(t->end - t->at) < n)
		return false;
	memcpy(t->at, text, n);
	t->at += n;
	return true;
}

/* One pair, its value cut to value_max bytes; false if it does not fit, and then t is as before. */
static bool put_pair(struct text *t, const char *name, const char *value, size_t value_max)
{
	char *before = t->at;
	char hash[16] = "";

	if (before != t->start && !put_text(t, ","))
		goto no_room;
	if (!put_name(t, name) || !put_text(t, "=\""))
		goto no_room;
	if (!put_value(t, value, value_max)) {
		if (value_max == SIZE_MAX)
			goto no_room;
		snprintf(hash, sizeof(hash), "~%08x",
			 (uint32_t)labels_hash(0, value, strlen(value)));
	}
	if (put_text(t, hash) && put_text(t, "\""))
		return true;
no_room:
	t->at = before;
	return false;
}

static bool put_all(struct text *t, const struct pairs *p, size_t value_max)
{
	t->at = t->start;
	for (size_t i = 0; i < p->n; i++)
		if (!put_pair(t, p->name[i], p->value[i], value_max))
			return false;
	return true;
}

/* The last resort: the leading labels that leave room for a hash of all of them. */
static void put_some(struct text *t, const struct pairs *p)
{
	static const char room[] = ",labels_cut=\"0123456789abcdef\"";
	char value[17];
	uint64_t hash = 0;

	for (size_t i = 0; i < p->n; i++) {
		hash = labels_hash(hash, p->name[i], strlen(p->name[i]));
		hash = labels_hash(hash, p->value[i], strlen(p->value[i]));
	}
	t->at = t->start;
	t->end -= sizeof(room) - 1;
	for (size_t i = 0; i < p->n; i++)
		if (!put_pair(t, p->name[i], p->value[i], CUT_BYTES))
			break;
	t->end += sizeof(room) - 1;
	snprintf(value, sizeof(value), "%016llx", (unsigned long long)hash);
	put_pair(t, "labels_cut", value, SIZE_MAX);
}

static int collect(va_list list, struct pairs *ret)
{
	const char *name;

	ret->n = 0;
	while ((name = va_arg(list, const char *))) {
		const char *value = va_arg(list, const char *);

		if (ret->n == LABELS_PAIRS_MAX)
			return -E2BIG;
		ret->name[ret->n] = name;
		ret->value[ret->n++] = value ? value : "";
		if (!value) /* a value that is NULL ends the list as well */
			break;
	}
	return 0;
}

int labels_write(va_list list, char *ret_text)
{
	struct text t = {ret_text, ret_text, ret_text + STORE_LABELS_MAX - 1};
	struct pairs p;
	int err = collect(list, &p);

	if (err)
		return err;
	if (!put_all(&t, &p, SIZE_MAX)) {
		size_t value_max = STORE_LABELS_MAX / 2;

		while (value_max && !put_all(&t, &p, value_max))
			value_max /= 2;
		if (!value_max)
			put_some(&t, &p);
	}
	*t.at = '\0';
	return (int)(t.at - t.start);
}
