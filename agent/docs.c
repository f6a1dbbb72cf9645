#include "docs.h"

#include <stdlib.h>
#include <string.h>
#include "store/store.h"

#define METRICS_MAX 2048

/* set by the linker: all definitions marked METRIC */
extern const struct metric __start_trimtab_metrics[], __stop_trimtab_metrics[];

static const char *const types[] = {[METRIC_COUNTER] = "counter",
				    [METRIC_GAUGE] = "gauge",
				    [METRIC_HISTOGRAM] = "histogram"};

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
	fputs("# Metrics\n\nMade by `make docs` from the definitions in the code. Labels are names only; "
	      "units are those of Prometheus: seconds, bytes, ratios of 1.\n\n"
	      "| metric | type | labels | what it is | where the figure comes from |\n"
	      "|---|---|---|---|---|\n",
	      out);
	for (size_t i = 0; i < n; i++) {
		fprintf(out, "| `%s` | %s | %s | ", all[i]->name, types[all[i]->type], all[i]->labels);
		print_escaped(out, all[i]->help);
		fputs(" | ", out);
		print_escaped(out, all[i]->source);
		fputs(" |\n", out);
	}
}
