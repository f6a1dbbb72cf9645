/* terminal.c - see terminal.h for the contract. */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>
#include "client/terminal.h"

#define COLUMNS 80 /* of a terminal that does not say */
#define LINES 24

#define ENTER "\033[?1049h\033[?25l\033[?7l" /* alternate screen, no cursor, no wrapping */
#define LEAVE "\033[m\033[?7h\033[?25h\033[?1049l"
#define HOME "\033[H"
#define REST_OF_LINE "\033[K"
#define REST_OF_SCREEN "\033[J"

struct terminal {
	struct termios before;
	sigset_t mask; /* as it was */
	int signals, events;
	bool keys; /* standard input is a terminal, too */
	bool gone;
};

bool terminal_is_there(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

static void put(struct terminal *t, const char *text, size_t n)
{
	while (n && !t->gone) {
		ssize_t done = write(STDOUT_FILENO, text, n);

		if (done < 0 && errno != EINTR && errno != EAGAIN)
			t->gone = true;
		if (done > 0) {
			text += done;
			n -= (size_t)done;
		}
	}
}

static void enter(struct terminal *t)
{
	struct termios raw = t->before;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	if (t->keys)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	put(t, ENTER, sizeof(ENTER) - 1);
}

static void leave(struct terminal *t)
{
	put(t, LEAVE, sizeof(LEAVE) - 1);
	if (t->keys)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &t->before);
}

static int watch(const struct terminal *t, int fd)
{
	struct epoll_event e = {.events = EPOLLIN};

	return epoll_ctl(t->events, EPOLL_CTL_ADD, fd, &e);
}

int terminal_open(struct terminal **ret)
{
	static const int taken[] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH};
	struct terminal *t = calloc(1, sizeof(*t));
	sigset_t set;
	int code;

	if (!t)
		return -ENOMEM;
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		sigaddset(&set, taken[i]);
	sigprocmask(SIG_BLOCK, &set, &t->mask);
	t->keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &t->before) == 0;
	t->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	t->events = epoll_create1(EPOLL_CLOEXEC);
	if (t->signals < 0 || t->events < 0 || watch(t, t->signals) ||
	    (t->keys && watch(t, STDIN_FILENO))) {
		code = -errno;
		t->gone = true; /* nothing to restore */
		t->keys = false;
		terminal_close(t);
		return code;
	}
	enter(t);
	*ret = t;
	return 0;
}

void terminal_close(struct terminal *t)
{
	if (!t)
		return;
	leave(t);
	if (t->signals >= 0)
		close(t->signals);
	if (t->events >= 0)
		close(t->events);
	sigprocmask(SIG_SETMASK, &t->mask, NULL);
	free(t);
}

int terminal_events(const struct terminal *t)
{
	return t->events;
}

void terminal_size(size_t *ret_columns, size_t *ret_lines)
{
	struct winsize w = {};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w))
		w = (struct winsize){};
	*ret_columns = w.ws_col ? w.ws_col : COLUMNS;
	*ret_lines = w.ws_row ? w.ws_row : LINES;
}

/* Line over line, so that nothing is blank in between; the last newline would scroll. */
void terminal_draw(struct terminal *t, const char *text)
{
	size_t size = 0, columns, left;
	char *frame = NULL;
	FILE *out = open_memstream(&frame, &size);

	if (!out)
		return;
	terminal_size(&columns, &left);
	fputs(HOME, out);
	for (; *text && left; text++)
		if (*text != '\n')
			fputc(*text, out);
		else
			fputs(--left && text[1] ? REST_OF_LINE "\n" : REST_OF_LINE, out);
	fputs(REST_OF_SCREEN, out);
	if (fclose(out) == 0)
		put(t, frame, size);
	free(frame);
}

static void stop(struct terminal *t)
{
	leave(t);
	raise(SIGSTOP);
	enter(t);
}

static void read_signals(struct terminal *t, struct terminal_event *ret)
{
	struct signalfd_siginfo info;

	while (read(t->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGTSTP)
			stop(t);
		else if (info.ssi_signo != SIGWINCH)
			ret->end = true;
	}
}

/* Past a key that has no letter: ESC and one byte, or ESC [ and all up to a letter or '~', or ESC O
 * and one byte. */
static const char *skip_escape(const char *at, const char *end)
{
	char kind = at + 1 < end ? at[1] : 0;

	at += kind == 'O' ? 3 : 2;
	while (kind == '[' && at < end && !isalpha((unsigned char)*at) && *at != '~')
		at++;
	at += kind == '[';
	return at < end ? at : end;
}

static void read_keys(struct terminal *t, struct terminal_event *ret)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	char bytes[TERMINAL_KEYS_MAX - 1], *to = ret->keys;
	const char *at = bytes, *end;
	ssize_t n;

	if (!t->keys || poll(&p, 1, 0) <= 0)
		return;
	n = read(STDIN_FILENO, bytes, sizeof(bytes));
	if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
		t->gone = true;
	end = n > 0 ? bytes + n : bytes;
	while (at < end)
		if (*at == '\033')
			at = skip_escape(at, end);
		else
			*to++ = *at++;
	*to = '\0';
}

void terminal_wait(struct terminal *t, int timeout_ms, struct terminal_event *ret)
{
	struct epoll_event e;

	*ret = (struct terminal_event){};
	if (epoll_wait(t->events, &e, 1, timeout_ms) > 0) {
		read_signals(t, ret);
		read_keys(t, ret);
	}
	if (t->gone)
		ret->end = true;
}
