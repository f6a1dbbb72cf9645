/* docs.h - the reference of metrics, made from the definitions in the code. */
#ifndef TRIMTAB_DOCS_H
#define TRIMTAB_DOCS_H

#include <stdio.h>

/* One Markdown table, by name: every definition marked METRIC in the program. */
void docs_metrics(FILE *out);

#endif
