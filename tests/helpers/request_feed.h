/* request_feed.h - gives a parser of bpf/request.h a stream of bytes as the programs do
 * (bpf/request_follow.bpf.h), for unit tests and fuzz targets: in pieces, held and skipped alike.
 */
#ifndef TRIMTAB_REQUEST_FEED_H
#define TRIMTAB_REQUEST_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include "../../bpf/request.h"

#define FEED_STEPS 100000 /* far more than any test needs: a parser that stands still is found */

/* One direction of a connection. Zero it to begin. */
struct feed {
	struct request_work work;
	__u64 held[REQUEST_HELD / 8];
	int (*step)(struct request_work *w);
	/* called for every event but MORE, HOLD and REST; look at work->count */
	void (*event)(void *arg, int event, struct request_work *w);
	void *arg;
	bool broken; /* by REQUEST_BROKEN or REQUEST_STREAM: nothing more is looked at */
	bool stuck;  /* the parser made no progress: a bug */
};

/* One call of n bytes. The window takes `window` of them at a time (1 .. REQUEST_WINDOW). */
static inline void feed(struct feed *f, const void *bytes, size_t n, size_t window)
{
	struct request_work *w = &f->work;
	const unsigned char *from = bytes;
	int event = REQUEST_MORE, steps = 0;

	if (f->broken)
		return;
	window_begin(w, f->held);
	for (;; steps++) {
		if (steps > FEED_STEPS) {
			f->stuck = f->broken = true;
			return;
		}
		if (w->at == w->end && w->parser.skip) {
			size_t skip = w->parser.skip < n ? w->parser.skip : n;

			from += skip;
			n -= skip;
			w->parser.skip -= skip;
		}
		if (w->at == w->end || event == REQUEST_HOLD) {
			size_t take = n < window ? n : window;

			if (!n)
				break;
			if (!window_move(w)) {
				f->stuck = f->broken = true;
				return;
			}
			memcpy(w->bytes + REQUEST_HELD, from, take);
			w->end = REQUEST_HELD + take;
			from += take;
			n -= take;
		}
		window_skip(w);
		event = REQUEST_MORE;
		if (w->at == w->end)
			continue;
		w->flags = 0;
		w->count = 1;
		event = f->step(w);
		if (w->at > w->end)
			f->stuck = true; /* it read what is not there */
		if (event == REQUEST_REST) {
			w->at = w->end;
			break;
		}
		if (event == REQUEST_MORE || event == REQUEST_HOLD)
			continue;
		if (f->event)
			f->event(f->arg, event, w);
		if (event == REQUEST_BROKEN || event == REQUEST_STREAM) {
			f->broken = true;
			return;
		}
	}
	if (!window_end(w, f->held))
		f->stuck = f->broken = true;
}

#endif
