/* probe_reason.h - why a BPF object did not load, as one line with what to do about it.
 *
 * libbpf says what happened through its print callback, in many lines; this keeps the telling ones
 * of the current object and puts the kernel's restrictions (lockdown, capabilities, RLIMIT_MEMLOCK)
 * beside the errno.
 */
#ifndef TRIMTAB_PROBE_REASON_H
#define TRIMTAB_PROBE_REASON_H

#include <stdarg.h>
#include <stddef.h>
#include <bpf/libbpf.h>

__attribute__((format(printf, 2, 0))) int probe_reason_print(enum libbpf_print_level level,
							     const char *format, va_list args);
void probe_reason_begin(void);			    /* forgets what the last object said */
void probe_reason_say(const char *what);	    /* instead of libbpf's first words */
void probe_reason(int err, char *ret, size_t size); /* err: -errno */

#endif
