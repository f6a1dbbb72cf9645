/* labels.h - label pairs as the text that Prometheus reads. Pure.
 *
 *   device="vda",op="read"
 *
 * Values are escaped (\\ \" \n), bytes that are not UTF-8 become '?', and bytes that a label name
 * cannot hold become '_'. A set that is longer than STORE_LABELS_MAX has its longest values cut at
 * a character, each followed by '~' and a hash of the whole value, so that two long values that
 * begin alike stay two series. Should even that be too long, the labels that fit are followed by
 * labels_cut="<hash of them all>".
 */
#ifndef TRIMTAB_LABELS_H
#define TRIMTAB_LABELS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#define LABELS_PAIRS_MAX 16

/* pairs: C strings, name then value, ended by NULL. Writes a C string of at most STORE_LABELS_MAX
 * bytes. Returns its length, or -E2BIG if there are more than LABELS_PAIRS_MAX pairs. */
int labels_write(va_list pairs, char *ret_text);

/* Hash of `bytes` bytes, to be chained by `seed`; about 1 ns a word. Not for untrusted peers. */
uint64_t labels_hash(uint64_t seed, const char *text, size_t bytes);

#endif
