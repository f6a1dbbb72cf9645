#include "docs.h"

#include <stdlib.h>
#include <string.h>
#include "store/store.h"

#define METRICS_MAX 2048

/* set by the linker: all definitions marked METRIC */
extern const struct metric __start_trimtab_metrics[], __stop_trimtab_metrics[];

static const char *const types[] = {
    [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};

static const char head[] =
    "# Metrics\n\n"
    "Made by `make docs` from the definitions in the code. Units are those of Prometheus: seconds, "
    "bytes,\nratios of 1. What counts events never falls while the program runs.\n\n"
    "Queries to begin with:\n\n"
    "```promql\n"
    "# p99 of each system call but those made to wait\n"
    "histogram_quantile(0.99, sum by (instance, syscall, le) (\n"
    "    rate(trimtab_syscall_duration_seconds_bucket[5m])))\n"
    "  and on (instance, syscall) trimtab_syscall_info{class=\"work\"}\n"
    "# how many tasks are blocked in each system call, on average\n"
    "sum by (instance, syscall) (rate(trimtab_syscall_blocked_seconds_sum[5m]))\n"
    "# calls a second, whatever share of the time is observed\n"
    "trimtab_syscall_calls_per_second\n"
    "# p99 of the wait for a CPU, and of each disk\n"
    "histogram_quantile(0.99, rate(trimtab_sched_wait_seconds_bucket[5m]))\n"
    "histogram_quantile(0.99, sum by (instance, device, op, le) (\n"
    "    rate(trimtab_block_io_duration_seconds_bucket{stage=\"device\"}[5m])))\n"
    "# TCP: median round trip by service, segments sent again\n"
    "histogram_quantile(0.5, sum by (instance, direction, port, le) "
    "(rate(trimtab_tcp_rtt_seconds_bucket[5m])))\n"
    "rate(trimtab_tcp_retransmits_total[5m])\n"
    "```\n\n"
    "| metric | type | labels | what it is | where the figure comes from |\n"
    "|---|---|---|---|---|\n";

static int by_name(const void *a, const void *b)
{
	const struct metric *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static void print_escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			fputc('\\', out);
		fputc(*text, out);
	}
}

void docs_metrics(FILE *out)
{
	const struct metric *all[METRICS_MAX];
	size_t n = 0;

	for (const struct metric *m = __start_trimtab_metrics; m < __stop_trimtab_metrics; m++)
		if (m->name && n < METRICS_MAX)
			all[n++] = m;
	qsort(all, n, sizeof(*all), by_name);
	fputs(head, out);
	for (size_t i = 0; i < n; i++) {
		fprintf(out, "| `%s` | %s | %s | ", all[i]->name, types[all[i]->type],
			all[i]->labels);
		print_escaped(out, all[i]->help);
		fputs(" | ", out);
		print_escaped(out, all[i]->source);
		fputs(" |\n", out);
	}
}
