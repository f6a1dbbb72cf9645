/* serve_fuzz.c - what the HTTP side reads that others wrote: Accept, Host, addresses, patterns,
 * label text, and JSON strings made of it. */
/* objects: agent/serve/accept.c agent/serve/address.c agent/serve/glob.c */
/* objects: agent/serve/pairs.c agent/serve/buffer.c */
/* libs: -lcjson */
#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "serve/accept.h"
#include "serve/address.h"
#include "serve/buffer.h"
#include "serve/glob.h"
#include "serve/pairs.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

static void fuzz_address(const char *text)
{
	struct address a, again;
	char printed[ADDRESS_TEXT_MAX];

	if (!address_parse(text, &a)) {
		address_print(&a, printed);
		CHECK(address_parse(printed, &again) == 0);
		CHECK(memcmp(&a, &again, sizeof(a)) == 0);
		/* a Host header that names a loopback address is local, and no other is */
		CHECK(address_is_loopback(&a) == address_host_is_local(printed));
	}
	address_host_is_local(text);
}

static void fuzz_pairs(const char *text, size_t n)
{
	const char *at = text;
	struct pair pair;

	while (pairs_next(&at, &pair)) {
		CHECK(at > text && at <= text + n);
		CHECK(pair.name >= text && pair.name + pair.name_bytes <= at);
		CHECK(pair.value_bytes <= sizeof(pair.value));
	}
}

static void fuzz_json(const char *text, size_t n)
{
	struct buffer b = {0};
	cJSON *json;

	buffer_json_string(&b, text, n);
	json = cJSON_ParseWithLength(b.data, b.len);
	CHECK(json && cJSON_IsString(json));
	cJSON_Delete(json);
	buffer_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1); /* of its own, so that reading past it is seen */

	memcpy(text, data, size);
	text[size] = '\0';
	CHECK(accept_choose(text) < EXPOSITIONS);
	fuzz_address(text);
	fuzz_pairs(text, strlen(text));
	fuzz_json(text, size);
	if (size < 512)
		glob_match(text, "trimtab_syscall_duration_seconds");
	CHECK(glob_match("*", text));
	free(text);
	return 0;
}
