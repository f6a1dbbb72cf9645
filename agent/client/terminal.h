/* terminal.h - a terminal that is drawn on in place, line by line, and asked for keys.
 *
 * Plain ANSI: the alternate screen, no wrapping, no cursor; what was there before comes back when
 * it is closed, at the end of the program by a signal and while it is stopped (Ctrl-Z). Takes over
 * SIGINT, SIGTERM, SIGHUP, SIGTSTP and SIGWINCH. Cost: one write a frame.
 */
#ifndef TRIMTAB_TERMINAL_H
#define TRIMTAB_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

#define TERMINAL_KEYS_MAX 32

struct terminal;

struct terminal_event {
	bool end;		      /* a signal, or the terminal is gone */
	char keys[TERMINAL_KEYS_MAX]; /* letters that were typed; "": none */
};

/* Whether standard output is one that understands this. */
bool terminal_is_there(void);
/* 0 or -errno. terminal_close(NULL) is fine. */
int terminal_open(struct terminal **ret);
void terminal_close(struct terminal *t);

void terminal_size(size_t *ret_columns, size_t *ret_lines);
/* Lines that end with a newline; those that the screen has no room for are left out. */
void terminal_draw(struct terminal *t, const char *text);
/* Waits for at most so long, and returns when there is something, or another size to draw for. */
void terminal_wait(struct terminal *t, int timeout_ms, struct terminal_event *ret);
/* Can be read when terminal_wait() would return at once. */
int terminal_events(const struct terminal *t);

#endif
