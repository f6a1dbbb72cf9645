/* top_view.c - order and lines of a view; see top_view.h for the contract. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "client/format.h"
#include "client/top_view_private.h"

#define SERVICE_LEAST 20 /* characters; columns go before the names get less */
#define SERVICE_STEADY                                                                             \
	32	    /* taken if there is room, so that the table does not jump with a name         \
		     */
#define NAME_TAIL 7 /* of a name that is cut: the port, mostly */
#define RANKS 5

#define BOLD "\033[1m"
#define RED "\033[31m"
#define REVERSE "\033[7m"
#define PLAIN "\033[m"

const struct top_view_column top_view_columns[COLUMNS] = {
    [SERVICE] = {"SERVICE", "name", 0, 0},
    [PROTOCOL] = {"PROTO", "protocol", 10, 3},
    [DIRECTION] = {"DIR", "direction", 3, 0},
    [FIRST_VALUE + TOP_RATE] = {"RATE/s", "rate", 6, 0},
    [FIRST_VALUE + TOP_ERRORS] = {"ERR%", "error_ratio", 5, 1},
    [FIRST_VALUE + TOP_P50] = {"P50", "p50", 7, 4},
    [FIRST_VALUE + TOP_P95] = {"P95", "p95", 7, 0},
    [FIRST_VALUE + TOP_P99] = {"P99", "p99", 7, 2},
    [FIRST_VALUE + TOP_QUEUE] = {"QUEUE", "queue_p95", 7, 5},
};

/* --- order */

const char *const top_view_orders[] = {"rate", "errors", "p95", "name", NULL};

static int by_name(const void *a, const void *b)
{
	const struct top_row *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	if (!order)
		order = strcmp(x->direction, y->direction);
	return order ? order : strcmp(x->protocol, y->protocol);
}

/* The greatest first, what is not known last. */
static int by_value(const struct top_row *x, const struct top_row *y, enum top_value which)
{
	double a = x->value[which], b = y->value[which];

	if (isnan(a) || isnan(b))
		return isnan(a) - isnan(b);
	return (a < b) - (a > b);
}

static int by_rate(const void *a, const void *b)
{
	int order = by_value(a, b, TOP_RATE);

	return order ? order : by_name(a, b);
}

static int by_errors(const void *a, const void *b)
{
	int order = by_value(a, b, TOP_ERRORS);

	return order ? order : by_rate(a, b);
}

static int by_p95(const void *a, const void *b)
{
	int order = by_value(a, b, TOP_P95);

	return order ? order : by_rate(a, b);
}

void top_view_sort(struct top_view *v, size_t order)
{
	static int (*const orders[])(const void *, const void *) = {by_rate, by_errors, by_p95,
								    by_name};

	qsort(v->row, v->n, sizeof(v->row[0]), orders[order]);
}

/* --- to text */

/* Characters of UTF-8, each of which takes one column here: all but units are ASCII. */
static size_t width_of(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

static void pad(FILE *out, size_t n)
{
	fprintf(out, "%*s", (int)n, "");
}

/* One line of plain ASCII, cut at the screen's edge. */
static void print_line(FILE *out, const struct top_screen *screen, const char *style,
		       const char *text)
{
	size_t n = strlen(text);

	if (screen->columns && n > screen->columns)
		n = screen->columns;
	fprintf(out, "%s%.*s%s\n", screen->colour ? style : "", (int)n, text,
		screen->colour && style[0] ? PLAIN : "");
}

static void print_name(FILE *out, const char *name, size_t width)
{
	size_t n = strlen(name);

	if (n <= width)
		fprintf(out, "%-*s", (int)width, name);
	else
		fprintf(out, "%.*s~%s", (int)(width - NAME_TAIL - 1), name, name + n - NAME_TAIL);
}

/* Which columns there is room for: a bit each, and how wide the names may be. */
static unsigned choose(const struct top_view *v, const struct top_screen *screen, size_t *ret_width)
{
	size_t longest = strlen(top_view_columns[SERVICE].title), fixed = 0, room;
	unsigned shown = (1u << COLUMNS) - 1;

	for (size_t i = 0; i < v->n; i++)
		if (strlen(v->row[i].name) > longest)
			longest = strlen(v->row[i].name);
	for (int i = PROTOCOL; i < COLUMNS; i++)
		fixed += top_view_columns[i].width + 1;
	for (int rank = RANKS; screen->columns && rank > 0; rank--)
		for (int i = PROTOCOL; i < COLUMNS; i++)
			if (top_view_columns[i].rank == rank &&
			    fixed + SERVICE_LEAST > screen->columns) {
				fixed -= top_view_columns[i].width + 1;
				shown &= ~(1u << i);
			}
	room = screen->columns > fixed ? screen->columns - fixed : 0;
	if (screen->columns && longest < SERVICE_STEADY)
		longest = SERVICE_STEADY;
	*ret_width = !screen->columns || longest < room ? longest
		     : room > NAME_TAIL + 1		? room
							: NAME_TAIL + 2;
	return shown;
}

static void format_value(enum top_value which, double x, bool utf8, char ret[FORMAT_MAX])
{
	if (which == TOP_RATE)
		format_count(x, ret);
	else if (which == TOP_ERRORS)
		format_percent(x, ret);
	else
		format_seconds(x, utf8, ret);
}

static void print_value(FILE *out, const struct top_screen *screen, const struct top_row *row,
			enum top_value which)
{
	bool marked = screen->colour && which == TOP_ERRORS && row->value[which] > 0;
	size_t width = top_view_columns[FIRST_VALUE + which].width + 1, n;
	char text[FORMAT_MAX];

	format_value(which, row->value[which], screen->utf8, text);
	n = width_of(text);
	pad(out, n < width ? width - n : 0);
	fprintf(out, "%s%s%s", marked ? RED : "", text, marked ? PLAIN : "");
}

/* "inbound" -> "in" */
static const char *short_direction(const char *direction)
{
	return strcmp(direction, "inbound") == 0    ? "in"
	       : strcmp(direction, "outbound") == 0 ? "out"
						    : direction;
}

static void print_row(FILE *out, const struct top_screen *screen, const struct top_row *row,
		      unsigned shown, size_t width)
{
	print_name(out, row->name, width);
	if (shown & 1u << PROTOCOL)
		fprintf(out, " %-*.*s", (int)top_view_columns[PROTOCOL].width,
			(int)top_view_columns[PROTOCOL].width, row->protocol);
	fprintf(out, " %-*.*s", (int)top_view_columns[DIRECTION].width,
		(int)top_view_columns[DIRECTION].width, short_direction(row->direction));
	for (int i = 0; i < TOP_VALUES; i++)
		if (shown & 1u << (FIRST_VALUE + i))
			print_value(out, screen, row, i);
	fputc('\n', out);
}

static void print_head(FILE *out, const struct top_screen *screen, unsigned shown, size_t width)
{
	fprintf(out, "%s%-*s", screen->colour ? REVERSE : "", (int)width,
		top_view_columns[SERVICE].title);
	for (int i = PROTOCOL; i < COLUMNS; i++)
		if (shown & 1u << i)
			fprintf(out, i < FIRST_VALUE ? " %-*s" : " %*s",
				(int)top_view_columns[i].width, top_view_columns[i].title);
	fprintf(out, "%s\n", screen->colour ? PLAIN : "");
}

static void print_notes(const struct top_view *v, const struct top_screen *screen, FILE *out)
{
	char text[2 * TOP_NOTE_MAX + 64];

	if (!v->unseen[0] && !v->lost[0])
		return;
	snprintf(text, sizeof(text), "since the start: %s%s%s%s%s", v->unseen[0] ? "not seen " : "",
		 v->unseen, v->unseen[0] && v->lost[0] ? "; " : "", v->lost[0] ? "lost " : "",
		 v->lost);
	print_line(out, screen, "", text);
}

static void print_empty(const struct top_view *v, const struct top_screen *screen, FILE *out)
{
	char text[TOP_NOTE_MAX + 64];

	if (v->trouble[0])
		snprintf(text, sizeof(text), "no requests: %s", v->trouble);
	else
		snprintf(text, sizeof(text), "no request was seen in the last %.0f s", v->window_s);
	print_line(out, screen, "", text);
}

void top_view_summary(const struct top_view *v, char *ret, size_t size)
{
	char in[FORMAT_MAX], out[FORMAT_MAX], share[FORMAT_MAX];
	double sum[2] = {}, errors = 0;

	for (size_t i = 0; i < v->n; i++) {
		const struct top_row *row = &v->row[i];
		bool outbound = strcmp(row->direction, "outbound") == 0;

		if (!(row->value[TOP_RATE] > 0))
			continue;
		sum[outbound] += row->value[TOP_RATE];
		if (row->value[TOP_ERRORS] > 0)
			errors += row->value[TOP_RATE] * row->value[TOP_ERRORS];
	}
	format_count(sum[0], in);
	format_count(sum[1], out);
	format_percent(sum[0] + sum[1] > 0 ? errors / (sum[0] + sum[1]) : NAN, share);
	snprintf(ret, size, "%zu service%s, in %s/s, out %s/s, errors %s%%, last %.0f s", v->total,
		 v->total == 1 ? "" : "s", in, out, share, v->window_s);
}

void top_view_print(const struct top_view *v, const struct top_screen *screen, const char *title,
		    const char *foot, FILE *out)
{
	size_t taken = 2 + (v->unseen[0] || v->lost[0]) + (foot != NULL) + (v->total > v->n);
	size_t rows = v->n, width;
	unsigned shown = choose(v, screen, &width);
	char more[64];

	if (screen->lines && rows + taken > screen->lines) {
		taken += v->total == v->n; /* for the line that says how many more */
		rows = screen->lines > taken ? screen->lines - taken : 0;
	}
	print_line(out, screen, BOLD, title);
	print_notes(v, screen, out);
	print_head(out, screen, shown, width);
	for (size_t i = 0; i < rows; i++)
		print_row(out, screen, &v->row[i], shown, width);
	if (!v->n)
		print_empty(v, screen, out);
	if (rows < v->total) {
		snprintf(more, sizeof(more), "and %zu more", v->total - rows);
		print_line(out, screen, "", more);
	}
	if (foot)
		print_line(out, screen, "", foot);
}
