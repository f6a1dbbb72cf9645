/* pairs.h - reads label text as the store keeps it: device="vda",op="read" with \\, \" and \n
 * escaped. Pure. What is not of this form ends the walk; nothing outside the text is read.
 */
#ifndef TRIMTAB_PAIRS_H
#define TRIMTAB_PAIRS_H

#include <stdbool.h>
#include <stddef.h>
#include "store/store.h"

struct pair {
	const char *name; /* in the text */
	size_t name_bytes;
	char value[STORE_LABELS_MAX]; /* unescaped; no NUL follows */
	size_t value_bytes;
};

/* Takes the next pair from *at and moves it on; false at the end. */
bool pairs_next(const char **at, struct pair *ret);

#endif
