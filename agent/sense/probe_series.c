#define _GNU_SOURCE
#include "probe_series.h"

#include <stdio.h>
#include <string.h>

const struct metric lost_metric METRIC = {
    "trimtab_lost_total", METRIC_COUNTER, "probe,reason",
    "What a source could not count or had no room for, by the reason.", "the source itself"};

const char *errno_label(int error)
{
	static char unknown[16];
	const char *name = error ? strerrorname_np(error) : "restart";

	if (name)
		return name;
	snprintf(unknown, sizeof(unknown), "E%d", error);
	return unknown;
}
