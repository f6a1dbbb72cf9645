/* host_text.h - reading the text of /proc and /sys. Pure: no I/O, no allocation.
 *
 * A host_text is a piece of somebody's buffer, not ended by NUL. Each function takes something off
 * its front and is false, with nothing taken, when that something is not there: so a truncated or
 * malformed file ends a loop early instead of giving a wrong figure. Numbers that do not fit are
 * held at the largest one. Cost: one pass over the bytes.
 */
#ifndef TRIMTAB_HOST_TEXT_H
#define TRIMTAB_HOST_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct host_text {
	const char *at, *end;
};

struct host_text host_text_of(const char *string);
/* The next line without its newline; the last one may lack it. */
bool host_text_line(struct host_text *t, struct host_text *ret_line);
/* The next run of bytes that are neither blank nor newline. */
bool host_text_word(struct host_text *t, struct host_text *ret_word);
/* Everything up to `stop`, which is taken too. Leading blanks are left out. */
bool host_text_until(struct host_text *t, char stop, struct host_text *ret);
/* Numbers must end at a blank or at the end. hex is without 0x, decimal is [-]digits[.digits] */
bool host_text_u64(struct host_text *t, uint64_t *ret);
bool host_text_hex(struct host_text *t, uint64_t *ret);
bool host_text_decimal(struct host_text *t, double *ret);
bool host_text_skip(struct host_text *t, unsigned words);
bool host_text_is(struct host_text t, const char *string);
/* Takes `prefix` off the front. */
bool host_text_prefix(struct host_text *t, const char *prefix);
/* As a C string fit for a label: cut to size, control bytes and what is not UTF-8 become '?'. */
void host_text_copy(struct host_text t, char *ret, size_t size);

#endif
