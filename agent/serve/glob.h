/* glob.h - the patterns of ?match=. Pure.
 *
 * fnmatch() takes exponential time on patterns such as *a*a*a*b, and these come from the network:
 * here it is at most length(name) * length(patterns) steps.
 */
#ifndef TRIMTAB_GLOB_H
#define TRIMTAB_GLOB_H

#include <stdbool.h>

/* Whether name fits one of the comma-separated patterns; * is any text, ? one character. */
bool glob_match(const char *patterns, const char *name);

#endif
