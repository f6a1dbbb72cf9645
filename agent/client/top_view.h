/* top_view.h - the table of `trimtab top`: from the API's answers to lines of text. Pure.
 *
 * A view is filled from /api/services and /api/status, sorted, and printed as often as wanted. What
 * comes from the API is made plain, so that no name can steer the terminal. Bounds: TOP_ROWS_MAX
 * rows; no line is wider than the screen.
 */
#ifndef TRIMTAB_TOP_VIEW_H
#define TRIMTAB_TOP_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TOP_ROWS_MAX 128 /* as many services as the kernel half tells apart */
#define TOP_NAME_MAX 128
#define TOP_WORD_MAX 16
#define TOP_NOTE_MAX 256

struct cJSON;

enum top_value { TOP_RATE, TOP_ERRORS, TOP_P50, TOP_P95, TOP_P99, TOP_QUEUE, TOP_VALUES };

struct top_row {
	char name[TOP_NAME_MAX], protocol[TOP_WORD_MAX], direction[TOP_WORD_MAX];
	double value[TOP_VALUES]; /* a second, of 1, seconds; NaN: not known */
};

struct top_view {
	struct top_row row[TOP_ROWS_MAX];
	size_t n, total; /* rows here, and services in all */
	double window_s;
	char unseen[TOP_NOTE_MAX];  /* bytes that no request could be seen in; "": none */
	char lost[TOP_NOTE_MAX];    /* what was not counted; "": nothing */
	char trouble[TOP_NOTE_MAX]; /* why no request can be seen; "": they can */
};

struct top_screen {
	size_t columns, lines; /* 0: as many as needed */
	bool colour, utf8;
};

/* 0, or -EPROTO: not what /api/services answers; then the view is as it was. */
int top_view_services(struct top_view *v, const struct cJSON *answer);
/* Takes from the answer of /api/status what it has. */
void top_view_status(struct top_view *v, const struct cJSON *answer);

/* Orders that the rows may have; names ended by NULL. */
extern const char *const top_view_orders[];
void top_view_sort(struct top_view *v, size_t order);

/* What the first line says of all rows, without a newline. */
void top_view_summary(const struct top_view *v, char *ret, size_t size);
/* Line by line: title, notes, the table, foot (NULL: none), each with a newline. */
void top_view_print(const struct top_view *v, const struct top_screen *screen, const char *title,
		    const char *foot, FILE *out);

#endif
