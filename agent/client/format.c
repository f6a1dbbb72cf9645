/* format.c - see format.h for the contract. */
#include <math.h>
#include <stdio.h>
#include "client/format.h"

#define COUNT_EXACT 1000

static int digits_of(double x)
{
	return fabs(x) >= 99.95 ? 0 : fabs(x) >= 9.995 ? 1 : 2;
}

/* The unit is chosen so that the number is 1 .. base; a unit brings its own space. */
static void scale(double x, double base, const char *const *units, char ret[FORMAT_MAX])
{
	while (units[1] && fabs(x) >= base * 0.9995) {
		x /= base;
		units++;
	}
	snprintf(ret, FORMAT_MAX, "%.*f%s", digits_of(x), x, *units);
}

void format_seconds(double s, bool utf8, char ret[FORMAT_MAX])
{
	static const char *const units[] = {" ns", " µs", " ms", " s", NULL};
	static const char *const plain[] = {" ns", " us", " ms", " s", NULL};

	if (isnan(s))
		snprintf(ret, FORMAT_MAX, "-");
	else if (isinf(s))
		snprintf(ret, FORMAT_MAX, ">64 s"); /* what the histogram ends at */
	else if (s == 0)
		snprintf(ret, FORMAT_MAX, "0");
	else
		scale(s * 1e9, 1000, utf8 ? units : plain, ret);
}

void format_count(double x, char ret[FORMAT_MAX])
{
	static const char *const units[] = {"", "k", "M", "G", "T", NULL};

	if (isnan(x))
		snprintf(ret, FORMAT_MAX, "-");
	else if (fabs(x) < COUNT_EXACT && x == trunc(x))
		snprintf(ret, FORMAT_MAX, "%.0f", x);
	else
		scale(x, 1000, units, ret);
}

void format_bytes(double x, char ret[FORMAT_MAX])
{
	static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB", NULL};

	if (isnan(x))
		snprintf(ret, FORMAT_MAX, "-");
	else if (x < 1024 && x == trunc(x))
		snprintf(ret, FORMAT_MAX, "%.0f B", x);
	else
		scale(x, 1024, units, ret);
}

void format_percent(double ratio, char ret[FORMAT_MAX])
{
	double p = ratio * 100;

	if (isnan(ratio))
		snprintf(ret, FORMAT_MAX, "-");
	else if (p > 0 && p < 0.005)
		snprintf(ret, FORMAT_MAX, "<0.01");
	else if (p == 0)
		snprintf(ret, FORMAT_MAX, "0");
	else
		snprintf(ret, FORMAT_MAX, "%.*f", p >= 99.95 ? 0 : p >= 0.095 ? 1 : 2, p);
}
