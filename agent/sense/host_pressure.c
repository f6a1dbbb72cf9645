/* host_pressure.c - pressure stall information (PSI): time in which tasks could not go on.
 *
 * Inputs: /proc/pressure/{cpu,memory,io,irq}; absent when the kernel was built or booted without
 * it. Bounds: 8 pairs of series. Cost: about 3 us a file.
 */
#include "host.h"

enum { SECONDS, RATIO, METRICS };

static const struct metric metrics[METRICS] METRIC = {
    [SECONDS] = {"trimtab_pressure_seconds_total", METRIC_COUNTER, "resource,kind",
		 "Time in which some tasks, or all that are not idle (full), waited for a "
		 "resource.",
		 "/proc/pressure"},
    [RATIO] = {"trimtab_pressure_avg10_ratio", METRIC_GAUGE, "resource,kind",
	       "Share of the last 10 s in which some tasks, or all (full), waited for a "
	       "resource; the kernel's own decaying mean.",
	       "/proc/pressure"},
};

static const struct {
	enum host_file file;
	const char *resource;
} resources[] = {
    {HOST_PRESSURE_CPU, "cpu"},
    {HOST_PRESSURE_MEMORY, "memory"},
    {HOST_PRESSURE_IO, "io"},
    {HOST_PRESSURE_IRQ, "irq"},
};

static void read_line(struct host *h, const char *resource, struct host_text line)
{
	struct host_text kind, word;
	const char *name;
	uint64_t total_us;
	double percent;

	if (!host_text_word(&line, &kind))
		return;
	name = host_text_is(kind, "some") ? "some" : host_text_is(kind, "full") ? "full" : NULL;
	while (name && host_text_word(&line, &word)) {
		if (host_text_prefix(&word, "avg10=") && host_text_decimal(&word, &percent))
			host_set(h, &metrics[RATIO], percent / 100, "resource", resource, "kind",
				 name);
		if (host_text_prefix(&word, "total=") && host_text_u64(&word, &total_us))
			host_set(h, &metrics[SECONDS], (double)total_us / 1e6, "resource", resource,
				 "kind", name);
	}
}

static void pressure_tick(struct host *h)
{
	struct host_text text, line;

	for (size_t i = 0; i < sizeof(resources) / sizeof(resources[0]); i++)
		if (host_file_read(h, resources[i].file, &text) == 0)
			while (host_text_line(&text, &line))
				read_line(h, resources[i].resource, line);
}

const struct host_part host_pressure_part = {
    .name = "pressure",
    .tick = pressure_tick,
};
