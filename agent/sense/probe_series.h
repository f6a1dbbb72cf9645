/* probe_series.h - what the readers of the BPF arrays share. */
#ifndef TRIMTAB_PROBE_SERIES_H
#define TRIMTAB_PROBE_SERIES_H

#include <stdint.h>
#include "store/store.h"

/* trimtab_lost_total{probe,reason}, of every source */
extern const struct metric lost_metric;

/* "EAGAIN"; "restart" for 0, which the kernel's internal codes are filed under; "E134" if unknown.
 * The text is static, or lives until the next call. */
const char *errno_label(int error);

#endif
