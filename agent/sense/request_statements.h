/* request_statements.h - which statements of PostgreSQL a service executes most, by samples. Pure.
 *
 * A sample is a text, or the name of a statement that was prepared earlier, whose text is
 * remembered by connection and name. Of each only the fingerprint is kept (see fingerprint.h).
 *
 * Counted are two half windows, the younger one STATEMENTS_HALF_NS long at most, so a figure is of
 * the last 30 to 60 s. Each sample weighs as many executions as it stands for.
 *
 * Bounds: STATEMENTS_PREPARED prepared statements, of which those not executed longest are
 * forgotten first, STATEMENTS_MAX different ones of all services, of which the rarest are (the rest
 * of its service then has a share, but no text); 1.5 MB if all are in use. Cost: 1 us a sample.
 */
#ifndef TRIMTAB_REQUEST_STATEMENTS_H
#define TRIMTAB_REQUEST_STATEMENTS_H

#include <stddef.h>
#include <stdint.h>
#include "maps.h"
#include "sense/fingerprint.h"

#define STATEMENTS_BUSIEST 16 /* of a service that are told */
#define STATEMENTS_PREPARED 4096
#define STATEMENTS_MAX 2048
#define STATEMENTS_HALF_NS (30ULL * 1000000000)

struct statements;

struct statement_view {
	const char *text; /* until the next call; NULL: prepared where it was not seen */
	uint64_t samples;
	double share; /* of the executions of its service */
};

/* NULL if there is no memory; statements_free(NULL) is fine. */
struct statements *statements_new(void);
void statements_free(struct statements *s);

/* One sample, as the ring holds it; what is none is passed over. */
void statements_take(struct statements *s, const void *data, size_t bytes);
/* Ends a half window when it is time. */
void statements_turn(struct statements *s, uint64_t now_ns);
/* A slot of a service has changed hands: forgets what was counted of it. */
void statements_forget(struct statements *s, uint32_t service);
/* How long the window is by now. */
double statements_window_seconds(const struct statements *s, uint64_t now_ns);
/* The busiest statements of the services that are `mine`, taken for one, and how many: those
 * without a text, if any, are one of them. */
size_t statements_busiest(const struct statements *s, const _Bool mine[REQUEST_SERVICES],
			  struct statement_view ret[STATEMENTS_BUSIEST]);

#endif
