/* format.h - numbers as text for a terminal, as the page writes them (dashboards/web/format.js):
 * three significant digits and a unit, "-" for what is not known (NaN). Pure.
 *
 * Times in seconds, sizes in bytes, shares as ratios of 1.
 */
#ifndef TRIMTAB_FORMAT_H
#define TRIMTAB_FORMAT_H

#include <stdbool.h>

#define FORMAT_MAX 24

void format_seconds(double s, bool utf8, char ret[FORMAT_MAX]); /* "412 µs"; not utf8: "412 us" */
void format_count(double x, char ret[FORMAT_MAX]);		/* "7", "12.3k" */
void format_bytes(double x, char ret[FORMAT_MAX]);		/* "1.21 MiB" */
void format_percent(double ratio, char ret[FORMAT_MAX]); /* "0.12", without its sign; 0 is "0" */

#endif
