/* request_amqp_flight.h - what an AMQP connection has in flight, by channel and tag.
 *
 * amqp_begin() takes every REQUEST_BEGAN of the parser, amqp_end() every REQUEST_ACKED, in the
 * order of each direction. Requests of one kind on one channel are a lane, with its tags: a publish
 * has the number that both sides count from confirm.select on, a delivery the tag that it carries.
 * Requests that follow each other in a lane and began in one call are a run; so are, in a lane that
 * is answered in order, those that began at nearly the same time: theirs is the mean of it then, at
 * most about a tenth off of what the lane's oldest one waits. An answer to a tag, or to all up to a
 * tag, is taken from the lane's runs.
 *
 * Bounds: AMQP_LANES lanes and AMQP_RUNS runs a connection, in 192 bytes. What finds no lane or no
 * run is counted at once, as ok and without a time (its answer then finds nothing and counts
 * nothing); where the lane's youngest run can grow, it is answered like the rest, but all of the
 * run without a time. So each request is counted once in either case; only the errors among those
 * that were counted at once are not seen.
 *
 * Cost: about 100 instructions a request and an answer each.
 *
 * Exact: a run knows how many of its tags were answered, not which. An answer up to a tag within
 * it takes those behind the tag for the ones that were answered before: it may count a few too
 * early, and later answers to these count nothing. When all is answered, all is counted.
 *
 * Both directions may be followed at the same time on two CPUs, so no field is added to by both,
 * and publishes take their runs from the one end and deliveries from the other.
 *
 * In mid-life, where confirm.select was not seen: publishes are counted at once until the first
 * ack; from its tag on they are numbered, and whenever an ack shows that the numbers lag behind,
 * they are set anew and what was in flight is answered without a time. A publisher that always has
 * some in flight thus seems quicker than it is until it paused once. Deliveries are counted at once
 * until the first ack of the client, too.
 */
#ifndef TRIMTAB_REQUEST_AMQP_FLIGHT_H
#define TRIMTAB_REQUEST_AMQP_FLIGHT_H

#include "request.h"

#define AMQP_RUNS 7
#define AMQP_LANES 7
#define AMQP_RUN_MAX 8191 /* requests of a run: 13 bits */
#define AMQP_LANE_SHIFT 13
#define AMQP_EARLY_MAX 31 /* 5 bits */
#define AMQP_NEAR 10	  /* see amqp_near() */
#define AMQP_TIME ((1ULL << 40) - 1)
#define AMQP_UNTIMED (1ULL << 63)
#define AMQP_EARLY_SHIFT 5

enum amqp_kind { AMQP_NONE, AMQP_PUBLISH, AMQP_DELIVER, AMQP_GET };

#define AMQP_KIND 3 /* mask */

/* what a REQUEST_ACKED says */
enum amqp_op {
	AMQP_ANSWERS,  /* requests up to, or with, work->tag */
	AMQP_RETURNS,  /* a message found no queue: the next answer is an error */
	AMQP_SELECTS,  /* publishes are confirmed from now on */
	AMQP_CONSUMES, /* deliveries are to come; work->multiple: they are not acknowledged */
	AMQP_RECOVERS, /* deliveries in flight will be made anew */
	AMQP_FREES,    /* the channel is new, or no more */
	AMQP_FAILS,    /* the server closed the channel; 0: all */
};

/* Both are in work->flags, above REQUEST_BEGAN_*. */
#define AMQP_KIND_SHIFT 16
#define AMQP_OP_SHIFT 18
#define AMQP_WHAT(op, kind) ((op) << AMQP_OP_SHIFT | (kind) << AMQP_KIND_SHIFT)
#define AMQP_WHAT_MASK AMQP_WHAT(7, AMQP_KIND)

/* of a lane, next to its kind */
#define AMQP_LANE_SURE 4    /* publishes: numbered from confirm.select on */
#define AMQP_LANE_UNSURE 8  /* deliveries: whether they are acknowledged is not known yet */
#define AMQP_LANE_NO_ACK 16 /* ... some are not */
#define AMQP_LANE_CLOSED 32 /* publishes: dropped until the channel is opened anew */
#define AMQP_LANE_LOOSE 64  /* not answered in order */
#define AMQP_LANE_UNTRACKED (AMQP_LANE_UNSURE | AMQP_LANE_NO_ACK | AMQP_LANE_CLOSED)

/* All zero at the beginning. A run's start, first and length, and a lane's next are written where
 * requests begin, the rest where they are answered. */
struct request_amqp {
	__u64 start[AMQP_RUNS];	 /* mean of theirs; AMQP_UNTIMED: not of all */
	__u32 first[AMQP_RUNS];	 /* tag */
	__u32 next[AMQP_LANES];	 /* tag of the next request; 0: not known */
	__u16 length[AMQP_RUNS]; /* requests that began; lane << AMQP_LANE_SHIFT */
	__u16 gone[AMQP_RUNS];	 /* ... that were answered; all: the run is free */
	__u16 low[AMQP_RUNS];	 /* at least so many of the first were */
	__u16 channel[AMQP_LANES];
	__u16 errors[AMQP_LANES]; /* so many of the next answers are errors */
	__u8 flags[AMQP_LANES];	  /* AMQP_KIND, AMQP_LANE_*; 0: free */
	__u8 early; /* answers that came before their request was seen; lane << AMQP_EARLY_SHIFT */
	__u8 hint[2]; /* lanes used last: of requests by the client, by the server */
};

_Static_assert(sizeof(struct request_amqp) <= 192, "one for each connection");

/* What a REQUEST_ACKED answered: requests of work->name. */
struct request_amqp_answers {
	struct {
		__u64 start_ns; /* as amqp_begin() had it */
		__u32 n;	/* may be 0 */
		__u32 pad;
	} run[AMQP_RUNS];
	__u32 untimed; /* answered too, but when they began is not known */
	__u32 errors;  /* so many of all these are errors */
	__u32 dropped; /* will not be answered any more */
	__u32 pad;
};

static __always_inline void amqp_name(struct request_work *w, __u32 kind)
{
	set_name(w,
		 kind == AMQP_PUBLISH	? NAME8('p', 'u', 'b', 'l', 'i', 's', 'h', 0)
		 : kind == AMQP_DELIVER ? NAME8('d', 'e', 'l', 'i', 'v', 'e', 'r', 0)
		 : kind == AMQP_GET	? NAME8('g', 'e', 't', 0, 0, 0, 0, 0)
					: NAME8('c', 'h', 'a', 'n', 'n', 'e', 'l', 0),
		 0);
}

/* --- sets of runs and of lanes are bits, made without branches, which the verifier would follow
 * one by one */

/* Bit i if x < 0, else 0. */
static __always_inline __u32 amqp_negative(__u64 x, int i)
{
	REQUEST_FORGET(x);
	return x >> 63 << i;
}

/* The number of the lowest bit of a set that is not empty: the sequence 00011101 holds each number
 * of three bits once. */
static __always_inline __u32 amqp_lowest(__u32 set)
{
	__u32 place = ((set & -set) * 0x1d & 0xff) >> 5;

	return 0x34572610U >> 4 * place & 7;
}

/* ... of the highest bit. */
static __always_inline __u32 amqp_highest(__u32 set)
{
	set |= set >> 1;
	set |= set >> 2;
	set |= set >> 4;
	return amqp_lowest(set - (set >> 1));
}

/* The lanes of a channel, of one kind or of all (AMQP_NONE). */
static __always_inline __u32 amqp_lanes(const struct request_amqp *a, __u32 channel, __u32 kind)
{
	__u32 mask = kind ? AMQP_KIND : 0, set = 0;

	for (int i = 0; i < AMQP_LANES; i++) {
		__u64 other = (a->channel[i] ^ channel) | ((a->flags[i] & mask) ^ kind);

		set |= amqp_negative(other - 1, i);
	}
	return set;
}

/* AMQP_LANES: none. */
static __always_inline __u32 amqp_lane(struct request_amqp *a, __u32 channel, __u32 kind)
{
	__u8 *hint = &a->hint[kind == AMQP_DELIVER];
	__u32 lane = *hint & 7, set;

	if (lane < AMQP_LANES && a->channel[lane] == channel &&
	    (a->flags[lane] & AMQP_KIND) == kind)
		return lane;
	set = amqp_lanes(a, channel, kind);
	if (!set)
		return AMQP_LANES;
	lane = amqp_lowest(set);
	*hint = lane;
	return lane;
}

static __always_inline __u32 amqp_add_lane(struct request_amqp *a, __u32 channel, __u32 flags,
					   __u32 next)
{
	for (int i = 0; i < AMQP_LANES; i++) {
		if (a->flags[i])
			continue;
		a->next[i] = next;
		a->channel[i] = channel;
		a->errors[i] = 0;
		a->flags[i] = flags;
		return i;
	}
	return AMQP_LANES;
}

static __always_inline __u32 amqp_length(const struct request_amqp *a, __u32 run)
{
	return a->length[run] & AMQP_RUN_MAX;
}

/* Requests of a run that are in flight. */
static __always_inline __u32 amqp_left(const struct request_amqp *a, __u32 run)
{
	__u32 length = amqp_length(a, run), gone = a->gone[run];

	return length > gone ? length - gone : 0;
}

/* Whether a request may share the time of its lane's youngest run: it began in the same call; or
 * the lane is answered in order, and its oldest one waits for so long already that the difference
 * is a small part of the time that this one will take. */
static __always_inline _Bool amqp_near(const struct request_amqp *a, __u32 lane, __u32 run,
				       __u64 start)
{
	__u64 near = a->start[run], oldest = 0, age;

	if (near == start)
		return 1;
	if (near & AMQP_UNTIMED || a->flags[lane] & AMQP_LANE_LOOSE)
		return 0;
	for (int i = 0; i < AMQP_RUNS; i++) {
		if (a->length[i] >> AMQP_LANE_SHIFT != lane || !amqp_left(a, i))
			continue;
		age = (start - a->start[i]) & AMQP_TIME;
		if (a->start[i] & AMQP_UNTIMED)
			age /= 2; /* its first may be answered long since */
		if (age > oldest && age < AMQP_TIME / 4)
			oldest = age;
	}
	return ((start - near) & AMQP_TIME) <= oldest / AMQP_NEAR;
}

/* Adds a request to its lane's youngest run, if that can be or must. The run's time is the mean of
 * its requests' times. */
static __always_inline _Bool amqp_grow(struct request_amqp *a, __u32 lane, __u32 run, __u64 start,
				       _Bool must)
{
	_Bool near = amqp_near(a, lane, run, start);
	__u32 n = amqp_length(a, run) + 1;
	__u64 time = a->start[run], mean;

	if (n > AMQP_RUN_MAX || (!near && !must))
		return 0;
	if (!near) {
		a->start[run] |= AMQP_UNTIMED;
	} else if (time != start) {
		mean = time + ((start - time) & AMQP_TIME) / n;
		a->start[run] = (time & ~AMQP_TIME) | (mean & AMQP_TIME);
	}
	a->length[run]++;
	return 1;
}

/* Adds a request to the lane's youngest run, or begins a new one. False if there is no room. */
static __always_inline _Bool amqp_run(struct request_amqp *a, __u32 lane, __u32 tag, __u64 start,
				      _Bool from_top)
{
	__u32 free = 0, tail = 0, run;

	for (int i = 0; i < AMQP_RUNS; i++) {
		__u64 length = amqp_length(a, i);
		__u32 other = (a->first[i] + (__u32)length) ^ tag;

		other |= a->length[i] >> AMQP_LANE_SHIFT ^ lane;
		free |= amqp_negative(length - a->gone[i] - 1, i);
		tail |= amqp_negative((__u64)other - 1, i);
	}
	tail &= ~free;
	if (tail && amqp_grow(a, lane, amqp_lowest(tail), start, !free))
		return 1;
	if (!free)
		return 0;
	run = from_top ? amqp_highest(free) : amqp_lowest(free);
	a->start[run] = start;
	a->first[run] = tag;
	a->low[run] = 0;
	a->length[run] = lane << AMQP_LANE_SHIFT | 1;
	asm volatile("" ::: "memory"); /* the other direction sees it when all of it is there */
	a->gone[run] = 0;
	return 1;
}

/* An answer came before its request was seen, as the call that sent it was not done: it is counted
 * when it is seen. */
static __always_inline void amqp_answered_early(struct request_amqp *a, struct request_work *w,
						__u32 lane)
{
	w->flags |= REQUEST_BEGAN_SILENT;
	a->early--;
	if (!a->errors[lane])
		return;
	a->errors[lane]--;
	w->outcome = REQUEST_ERROR;
}

static __always_inline _Bool amqp_is_early(const struct request_amqp *a, __u32 lane)
{
	return a->early & AMQP_EARLY_MAX && a->early >> AMQP_EARLY_SHIFT == lane;
}

/* Takes a REQUEST_BEGAN. `start` counts time in its lower 40 bits; the others are kept with it, but
 * for the highest, which must be 0. Adds to work->flags REQUEST_BEGAN_KEYED, REQUEST_BEGAN_SILENT
 * (count it with work->outcome now) or neither (do not count it). False if it has no time for want
 * of room.
 */
static __always_inline _Bool amqp_begin(struct request_amqp *a, struct request_work *w, __u64 start)
{
	__u32 kind = w->flags >> AMQP_KIND_SHIFT & AMQP_KIND, tag;
	__u32 lane = amqp_lane(a, w->channel, kind);

	if (lane >= AMQP_LANES && kind != AMQP_PUBLISH)
		lane = amqp_add_lane(a, w->channel,
				     kind == AMQP_GET ? kind : kind | AMQP_LANE_UNSURE, 0);
	if (lane >= AMQP_LANES) {
		w->flags |= REQUEST_BEGAN_SILENT;
		return kind == AMQP_PUBLISH;
	}
	tag = kind == AMQP_DELIVER ? w->tag : a->next[lane];
	a->next[lane] = tag + 1;
	if (a->flags[lane] & AMQP_LANE_UNTRACKED) {
		if (!(a->flags[lane] & AMQP_LANE_CLOSED))
			w->flags |= REQUEST_BEGAN_SILENT;
		return 1;
	}
	if (amqp_is_early(a, lane)) {
		amqp_answered_early(a, w, lane);
		return 1;
	}
	if (amqp_run(a, lane, tag, start, kind == AMQP_DELIVER)) {
		w->flags |= REQUEST_BEGAN_KEYED;
		return 1;
	}
	w->flags |= REQUEST_BEGAN_SILENT;
	return 0;
}

/* --- answers */

/* which of a lane's requests are answered */
enum amqp_which { AMQP_ONE, AMQP_UP_TO, AMQP_ALL, AMQP_ALL_UNTIMED };

static __always_inline void amqp_tell(struct request_amqp_answers *ret, int i, __u64 start, __u32 n)
{
	if (start & AMQP_UNTIMED) {
		ret->untimed += n;
		return;
	}
	ret->run[i].start_ns = start;
	ret->run[i].n = n;
}

/* Takes the answered requests of the lane work->channel from its runs, as amqp_answered() has put
 * them; all of them are ret->errors for now. */
static __always_inline void amqp_take(struct request_amqp *a, struct request_work *w,
				      struct request_amqp_answers *ret)
{
	__u32 lane = w->channel, which = w->multiple, tag = w->tag, loose = 0, n, left;
	__s64 all = which >= AMQP_ALL ? AMQP_RUN_MAX : 0, one = which == AMQP_ONE ? -1 : 0, from,
	      to;

	for (int i = 0; i < AMQP_RUNS; i++) {
		left = amqp_left(a, i);
		if (!left || a->length[i] >> AMQP_LANE_SHIFT != lane)
			continue;
		from = all ? all : (__s32)(tag - a->first[i]);
		to = from + 1;
		if (to > amqp_length(a, i))
			to = amqp_length(a, i);
		from &= one;
		if (from > a->low[i])
			loose = AMQP_LANE_LOOSE;
		else
			from = a->low[i];
		if (to <= from)
			continue;
		n = to - from;
		if (n > left)
			n = left;
		if (from == a->low[i])
			a->low[i] = to;
		a->gone[i] += n;
		ret->errors += n;
		amqp_tell(ret, i, which == AMQP_ALL_UNTIMED ? AMQP_UNTIMED : a->start[i], n);
	}
	if (loose)
		a->flags[lane & 7] |= loose;
}

/* Takes the oldest request of some lanes. Returns its lane. */
static __always_inline __u32 amqp_take_oldest(struct request_amqp *a, __u32 lanes,
					      struct request_amqp_answers *ret)
{
	__u32 lane, age, oldest = 0, found = AMQP_RUNS;

	for (int i = 0; i < AMQP_RUNS; i++) {
		lane = a->length[i] >> AMQP_LANE_SHIFT;
		if (!(lanes >> lane & 1) || !amqp_left(a, i))
			continue;
		age = a->next[lane] - a->first[i];
		if (age <= oldest)
			continue;
		oldest = age;
		found = i;
	}
	if (found >= AMQP_RUNS)
		return AMQP_LANES;
	a->gone[found]++;
	amqp_tell(ret, 0, a->start[found], 1);
	return a->length[found] >> AMQP_LANE_SHIFT;
}

/* The answer is to a request that was not seen yet: in mid-life the numbers lag behind, else the
 * other side was quicker than the program that watches the call which sent the request. */
static __always_inline __u32 amqp_ahead(struct request_amqp *a, struct request_work *w, __u32 lane,
					__u32 which)
{
	__u32 flags = a->flags[lane], n = (__u32)w->tag - a->next[lane],
	      early = amqp_is_early(a, lane) ? a->early & AMQP_EARLY_MAX : 0;

	if (!(flags & AMQP_LANE_SURE) && (flags & AMQP_KIND) == AMQP_PUBLISH) {
		a->next[lane] = w->tag + 1;
		return AMQP_ALL_UNTIMED;
	}
	if (!a->next[lane] || (which == AMQP_ONE && n != early))
		return which;
	n = n < AMQP_EARLY_MAX ? n + 1 : AMQP_EARLY_MAX;
	a->early = lane << AMQP_EARLY_SHIFT | n;
	if (w->outcome == REQUEST_ERROR && n > early)
		a->errors[lane] += n - early;
	return which;
}

/* Publishes or deliveries are answered. */
static __always_inline void amqp_answered(struct request_amqp *a, struct request_work *w,
					  __u32 lane, struct request_amqp_answers *ret)
{
	__u32 which = !w->multiple ? AMQP_ONE : w->tag ? AMQP_UP_TO : AMQP_ALL;

	if (a->flags[lane] & AMQP_LANE_UNTRACKED) {
		if (a->flags[lane] & AMQP_LANE_CLOSED)
			return;
		a->flags[lane] &= ~AMQP_LANE_UNSURE;
	}
	if (which != AMQP_ALL && (__s32)((__u32)w->tag - a->next[lane]) >= 0)
		which = amqp_ahead(a, w, lane, which);
	/* by way of memory, so that the verifier forgets how they came about */
	w->channel = lane;
	w->multiple = which;
	asm volatile("" ::: "memory");
	amqp_take(a, w, ret);
	if (w->outcome == REQUEST_ERROR)
		return;
	lane = w->channel & 7;
	if (ret->errors > a->errors[lane])
		ret->errors = a->errors[lane];
	a->errors[lane] -= ret->errors;
}

static __always_inline void amqp_drop(struct request_amqp *a, __u32 lanes,
				      struct request_amqp_answers *ret)
{
	for (int i = 0; i < AMQP_RUNS; i++) {
		if (!(lanes >> (a->length[i] >> AMQP_LANE_SHIFT) & 1))
			continue;
		ret->dropped += amqp_left(a, i);
		a->gone[i] = amqp_length(a, i);
	}
}

/* Lanes are done with. */
static __always_inline void amqp_free(struct request_amqp *a, __u32 lanes, _Bool failed,
				      struct request_amqp_answers *ret)
{
	amqp_drop(a, lanes, ret);
	if (lanes >> (a->early >> AMQP_EARLY_SHIFT) & 1)
		a->early = 0;
	for (int i = 0; i < AMQP_LANES; i++) {
		if (!(lanes >> i & 1))
			continue;
		if (failed && (a->flags[i] & AMQP_KIND) == AMQP_PUBLISH)
			a->flags[i] |= AMQP_LANE_CLOSED;
		else
			a->flags[i] = 0;
	}
}

/* Counts an error of its own name. */
static __always_inline void amqp_error(struct request_amqp_answers *ret)
{
	ret->untimed = 1;
	ret->errors = 1;
}

/* The server closes a channel, or all: the error is that of the oldest publish or get in flight. */
static __always_inline void amqp_failed(struct request_amqp *a, struct request_work *w,
					struct request_amqp_answers *ret)
{
	__u32 lanes = ~0u, lane, set = 0;

	if (w->channel)
		lanes = amqp_lanes(a, w->channel, AMQP_NONE);
	for (int i = 0; i < AMQP_LANES; i++)
		set |= (a->flags[i] & 1) << i; /* AMQP_PUBLISH, AMQP_GET */
	lane = amqp_take_oldest(a, lanes & set, ret);
	amqp_name(w, lane < AMQP_LANES ? a->flags[lane] & AMQP_KIND : AMQP_NONE);
	if (lane < AMQP_LANES)
		ret->errors = 1;
	else
		amqp_error(ret);
	amqp_free(a, lanes, w->channel, ret);
}

static __always_inline void amqp_returned(struct request_amqp *a, struct request_work *w,
					  __u32 lane, struct request_amqp_answers *ret)
{
	if (lane >= AMQP_LANES) {
		set_name(w, NAME8('r', 'e', 't', 'u', 'r', 'n', 0, 0), 0);
		amqp_error(ret);
	} else if (a->errors[lane] != 0xffff) {
		a->errors[lane]++;
	}
}

static __always_inline void amqp_consumes(struct request_amqp *a, struct request_work *w,
					  __u32 lane)
{
	__u32 no_ack = w->multiple ? AMQP_LANE_NO_ACK : 0;

	if (lane >= AMQP_LANES)
		amqp_add_lane(a, w->channel, AMQP_DELIVER | no_ack, 0);
	else
		a->flags[lane] = (a->flags[lane] & ~AMQP_LANE_UNSURE) | no_ack;
}

/* What has no lane is answered, or one is to be had. */
static __always_inline void amqp_no_lane(struct request_amqp *a, struct request_work *w, __u32 op,
					 __u32 kind)
{
	if (kind != AMQP_PUBLISH)
		return;
	if (op == AMQP_SELECTS)
		amqp_add_lane(a, w->channel, AMQP_PUBLISH | AMQP_LANE_SURE, 1);
	else
		amqp_add_lane(a, w->channel, AMQP_PUBLISH, w->tag + 1);
}

/* Takes a REQUEST_ACKED. */
static __always_inline void amqp_end(struct request_amqp *a, struct request_work *w,
				     struct request_amqp_answers *ret)
{
	__u32 op = w->flags >> AMQP_OP_SHIFT & 7, kind = w->flags >> AMQP_KIND_SHIFT & AMQP_KIND,
	      lane = kind ? amqp_lane(a, w->channel, kind) : AMQP_LANES;

	for (int i = 0; i < AMQP_RUNS; i++)
		ret->run[i].n = 0;
	ret->untimed = ret->errors = ret->dropped = 0;
	switch (op) {
	case AMQP_ANSWERS:
	case AMQP_SELECTS:
		if (lane >= AMQP_LANES)
			amqp_no_lane(a, w, op, kind);
		else if (op == AMQP_SELECTS)
			break;
		else if (kind == AMQP_GET)
			amqp_take_oldest(a, 1u << lane, ret);
		else
			amqp_answered(a, w, lane, ret);
		break;
	case AMQP_RETURNS:
		amqp_returned(a, w, lane, ret);
		break;
	case AMQP_CONSUMES:
		amqp_consumes(a, w, lane);
		break;
	case AMQP_RECOVERS:
		if (lane < AMQP_LANES)
			amqp_drop(a, 1u << lane, ret);
		break;
	case AMQP_FREES:
		amqp_free(a, amqp_lanes(a, w->channel, AMQP_NONE), 0, ret);
		break;
	case AMQP_FAILS:
		amqp_failed(a, w, ret);
		break;
	}
}

/* Requests that are in flight, for when the connection ends. */
static __always_inline __u32 amqp_in_flight(const struct request_amqp *a)
{
	__u32 n = 0;

	for (int i = 0; i < AMQP_RUNS; i++)
		n += amqp_left(a, i);
	return n;
}

#endif
