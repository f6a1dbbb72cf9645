/* fingerprint.h - a statement of SQL as PostgreSQL reads it, without its literals: what is the same
 * for all executions. Pure.
 *
 *   SELECT a FROM t WHERE id = 42 AND s = 'x' -- why   SELECT a FROM t WHERE id = ? AND s = ?
 *   ... IN ($1, $2, $3)                                ... IN (...)
 *   INSERT INTO t (a, b) VALUES (1, 2), (3, 4)         INSERT INTO t (a, b) VALUES (...)
 *   ... ARRAY[1, 2]                                    ... ARRAY[...]
 *
 * Numbers, strings of every kind and parameters become ?, comments and the last semicolon are cut,
 * white space becomes one space; words stay as they are written. What is not UTF-8 becomes ?.
 *
 * No part of a literal is ever shown. Where it is not certain where one ends, the fingerprint ends:
 * one that the text's end cuts, and one with a backslash before a quote, which ends it or not by a
 * setting of the session. "..." says that the statement goes on.
 *
 * Bounds: FINGERPRINT_MAX; one pass, no memory. Cost: 1 us for 256 bytes.
 */
#ifndef TRIMTAB_FINGERPRINT_H
#define TRIMTAB_FINGERPRINT_H

#include <stdbool.h>
#include <stddef.h>

#define FINGERPRINT_MAX 201 /* bytes with the NUL */

/* cut: the statement goes on behind the text. Returns the length of ret. */
size_t fingerprint(const char *text, size_t bytes, bool cut, char ret[FINGERPRINT_MAX]);

#endif
