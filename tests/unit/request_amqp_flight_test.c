/* request_amqp_flight_test.c - what an AMQP connection has in flight: counts against a model that
 * knows every tag, and the bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "../../bpf/request_amqp_flight.h"

static struct request_amqp flight;
static struct request_work work;
static struct request_amqp_answers got;

static unsigned answers(void)
{
	unsigned n = got.untimed;

	for (int i = 0; i < AMQP_RUNS; i++)
		n += got.run[i].n;
	return n;
}

/* How many were answered that began then. */
static unsigned since(uint64_t start)
{
	unsigned n = 0;

	for (int i = 0; i < AMQP_RUNS; i++)
		if (got.run[i].start_ns == start)
			n += got.run[i].n;
	return n;
}

static unsigned begin(enum amqp_kind kind, unsigned channel, uint64_t tag, uint64_t start)
{
	work.flags = AMQP_WHAT(AMQP_ANSWERS, kind);
	work.channel = channel;
	work.tag = tag;
	work.outcome = REQUEST_OK;
	amqp_begin(&flight, &work, start);
	return work.flags & (REQUEST_BEGAN_KEYED | REQUEST_BEGAN_SILENT);
}

static unsigned publish(unsigned channel, uint64_t start)
{
	return begin(AMQP_PUBLISH, channel, 0, start);
}

static unsigned deliver(unsigned channel, uint64_t tag, uint64_t start)
{
	return begin(AMQP_DELIVER, channel, tag, start);
}

/* Returns the number of answers. */
static unsigned end(enum amqp_op op, enum amqp_kind kind, unsigned channel, uint64_t tag,
		    bool multiple, bool error)
{
	work.flags = AMQP_WHAT(op, kind);
	work.channel = channel;
	work.tag = tag;
	work.multiple = multiple;
	work.outcome = error ? REQUEST_ERROR : REQUEST_OK;
	memset(&got, 0xff, sizeof(got)); /* what is not set is not zero */
	amqp_end(&flight, &work, &got);
	return answers();
}

static unsigned confirm(unsigned channel, uint64_t tag, bool multiple)
{
	return end(AMQP_ANSWERS, AMQP_PUBLISH, channel, tag, multiple, false);
}

static unsigned acknowledge(unsigned channel, uint64_t tag, bool multiple)
{
	return end(AMQP_ANSWERS, AMQP_DELIVER, channel, tag, multiple, false);
}

static void control(enum amqp_op op, enum amqp_kind kind, unsigned channel)
{
	assert_int_equal(end(op, kind, channel, 0, false, op == AMQP_FAILS), 0);
}

static void select_confirms(unsigned channel)
{
	control(AMQP_SELECTS, AMQP_PUBLISH, channel);
}

static void consume(unsigned channel, bool no_ack)
{
	end(AMQP_CONSUMES, AMQP_DELIVER, channel, 0, no_ack, false);
}

static int fresh(void **state)
{
	memset(&flight, 0, sizeof(flight));
	memset(&work, 0, sizeof(work));
	return 0;
}

static void test_in_order(void **state)
{
	select_confirms(1);
	for (unsigned i = 1; i <= 1000; i++) {
		assert_int_equal(publish(1, i), REQUEST_BEGAN_KEYED);
		assert_int_equal(confirm(1, i, i & 1), 1);
		assert_int_equal(since(i), 1);
		assert_int_equal(got.errors, 0);
	}
	assert_int_equal(amqp_in_flight(&flight), 0);
}

static void test_runs(void **state)
{
	select_confirms(1);
	for (int i = 0; i < 10; i++)
		publish(1, 100);
	for (int i = 0; i < 5; i++)
		publish(1, 200);
	assert_int_equal(confirm(1, 4, true), 4);
	assert_int_equal(since(100), 4);
	assert_int_equal(confirm(1, 10, true), 6);
	assert_int_equal(since(100), 6);
	assert_int_equal(confirm(1, 12, false), 1);
	assert_int_equal(since(200), 1);
	/* 11 and 13; that 12 was among them is not known, so one of the rest is taken along */
	assert_int_equal(confirm(1, 13, true), 3);
	assert_int_equal(confirm(1, 14, false), 1);
	assert_int_equal(confirm(1, 15, false), 0);
	assert_int_equal(amqp_in_flight(&flight), 0);
	publish(1, 300);
	publish(1, 300);
	assert_int_equal(confirm(1, 0, true), 2); /* all there are */
	assert_int_equal(confirm(1, 17, true), 0);
}

/* The tags that RabbitMQ acknowledged, all with those before them, as pika published 1000. */
static void test_recorded(void **state)
{
	static const uint16_t tags[] = {
	    13,	 20,  30,  40,	46,  54,  60,  68,  76,	 86,  94,  104, 112, 122, 130, 140, 148,
	    158, 166, 173, 180, 187, 194, 203, 205, 211, 218, 226, 235, 244, 253, 261, 278, 289,
	    297, 306, 316, 324, 333, 342, 351, 360, 369, 374, 389, 395, 399, 410, 412, 416, 422,
	    432, 441, 450, 455, 466, 474, 484, 492, 502, 511, 520, 529, 538, 547, 556, 575, 582,
	    592, 601, 604, 613, 620, 627, 634, 644, 652, 662, 678, 690, 697, 707, 716, 725, 734,
	    743, 752, 761, 770, 780, 788, 798, 806, 815, 824, 833, 843, 851, 861, 869, 879, 888,
	    897, 906, 915, 924, 933, 942, 951, 960, 970, 978, 988, 996, 1000};
	unsigned published = 0, before = 0;

	select_confirms(1);
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		/* each in a call of its own, up to 200 in flight */
		while (published < 1000 && published < tags[i] + 200u)
			assert_int_equal(publish(1, ++published), REQUEST_BEGAN_KEYED);
		assert_int_equal(confirm(1, tags[i], true), tags[i] - before);
		before = tags[i];
	}
	assert_int_equal(amqp_in_flight(&flight), 0);
}

/* A request every 10 us, answered in order after 1 ms, alone or ten at a time: the times are at
 * most a tenth off. */
static void must_time(bool multiple)
{
	uint64_t now = 1000000000, end_ns = now + 100000000,
		 longest_ns = multiple ? 1090000 : 1000000;
	unsigned total = 0, timed = 0;

	select_confirms(1);
	for (unsigned tag = 1; now < end_ns; tag++, now += 10000) {
		assert_int_equal(publish(1, now), REQUEST_BEGAN_KEYED);
		if (tag <= 100 || (multiple && tag % 10))
			continue;
		total += confirm(1, tag - 100, multiple);
		timed += answers() - got.untimed;
		for (int i = 0; i < AMQP_RUNS; i++)
			if (got.run[i].n)
				assert_in_range(now - got.run[i].start_ns, 900000,
						longest_ns * 11 / 10);
	}
	assert_int_equal(total, 10000 - 100);
	assert_true(timed > total * 9 / 10);
}

static void test_times(void **state)
{
	must_time(false);
	fresh(NULL);
	must_time(true);
}

/* What the higher bits of a start say belongs to the run's first; the time may begin anew. */
static void test_stamps(void **state)
{
	const uint64_t first = 3ULL << 40 | AMQP_TIME;

	select_confirms(1);
	publish(1, first - 1000);
	for (uint64_t i = 0; i < 50; i++)
		publish(1, ((first + 2 * i) & AMQP_TIME) | (i + 1) << 40);
	assert_int_equal(confirm(1, 1, false), 1);
	assert_int_equal(confirm(1, 51, true), 50);
	assert_int_equal(since(((first + 49) & AMQP_TIME) | 1ULL << 40), 50);
}

/* Answered out of order, what one waits for says nothing about another: calls are kept apart. */
static void test_times_out_of_order(void **state)
{
	uint64_t now = 1000000000;

	consume(1, false);
	deliver(1, 1, 1); /* is never acknowledged */
	for (unsigned tag = 2; tag < 1000; tag += 2, now += 10000) {
		assert_int_equal(deliver(1, tag, now), REQUEST_BEGAN_KEYED);
		assert_int_equal(deliver(1, tag + 1, now + 5000), REQUEST_BEGAN_KEYED);
		assert_int_equal(acknowledge(1, tag, false), 1);
		assert_int_equal(since(tag == 2 ? now + 2500 : now), 1);
		assert_int_equal(acknowledge(1, tag + 1, false), 1);
		assert_int_equal(since(tag == 2 ? now + 2500 : now + 5000), 1);
	}
	for (unsigned tag = 1000; tag < 1100; tag++) /* one call is one run in any case */
		deliver(1, tag, now);
	assert_int_equal(acknowledge(1, 1099, true), 101);
	assert_int_equal(since(now), 100);
}

/* More in one call than a run can hold. */
static void test_long_run(void **state)
{
	select_confirms(1);
	for (unsigned i = 0; i < 20000; i++)
		assert_int_equal(publish(1, 5), REQUEST_BEGAN_KEYED);
	assert_int_equal(confirm(1, 10000, true), 10000);
	assert_int_equal(got.untimed, 0);
	assert_int_equal(confirm(1, 20000, true), 10000);
	assert_int_equal(amqp_in_flight(&flight), 0);
}

/* A run that can grow no more, and no other is free: the rest is counted at once. */
static void test_no_room(void **state)
{
	unsigned silent = 0, n = 70000;

	select_confirms(1);
	for (unsigned i = 1; i <= n; i++)
		silent += publish(1, i) == REQUEST_BEGAN_SILENT;
	assert_int_equal(silent, n - (AMQP_RUNS - 1) - AMQP_RUN_MAX);
	assert_int_equal(confirm(1, n, true) + silent, n);
}

static void test_more_channels(void **state)
{
	unsigned keyed = 0, n = 0;

	for (unsigned c = 1; c <= 20; c++) {
		select_confirms(c);
		keyed += publish(c, c) == REQUEST_BEGAN_KEYED;
	}
	assert_int_equal(keyed, AMQP_LANES);
	for (unsigned c = 1; c <= 20; c++)
		n += confirm(c, 1, false);
	assert_int_equal(n, AMQP_LANES);
	control(AMQP_FREES, 0, 3); /* its place goes to the next that asks */
	select_confirms(30);
	assert_int_equal(publish(30, 7), REQUEST_BEGAN_KEYED);
	assert_int_equal(confirm(30, 1, false), 1);
}

static void test_unconfirmed(void **state)
{
	assert_int_equal(publish(1, 1), REQUEST_BEGAN_SILENT);
	assert_int_equal(work.outcome, REQUEST_OK);
	assert_int_equal(end(AMQP_RETURNS, AMQP_PUBLISH, 1, 0, false, false), 1);
	assert_int_equal(got.errors, 1);
	assert_string_equal(work.name.text, "return");
}

static void test_errors(void **state)
{
	select_confirms(1);
	for (int i = 0; i < 10; i++)
		publish(1, 1);
	assert_int_equal(end(AMQP_ANSWERS, AMQP_PUBLISH, 1, 3, true, true), 3);
	assert_int_equal(got.errors, 3);
	control(AMQP_RETURNS, AMQP_PUBLISH, 1);
	control(AMQP_RETURNS, AMQP_PUBLISH, 1);
	assert_int_equal(confirm(1, 4, false), 1);
	assert_int_equal(got.errors, 1);
	assert_int_equal(confirm(1, 6, true), 2);
	assert_int_equal(got.errors, 1);
	assert_int_equal(confirm(1, 7, false), 1);
	assert_int_equal(got.errors, 0);
	assert_int_equal(end(AMQP_ANSWERS, AMQP_PUBLISH, 1, 9, false, true), 1);
	assert_int_equal(got.errors, 1);
}

static void test_channel_closed(void **state)
{
	select_confirms(1);
	select_confirms(2);
	for (int i = 1; i <= 5; i++)
		publish(1, i);
	publish(2, 6);
	assert_int_equal(confirm(1, 1, false), 1);
	assert_int_equal(end(AMQP_FAILS, 0, 1, 0, false, true), 1);
	assert_int_equal(since(2), 1); /* the oldest */
	assert_int_equal(got.errors, 1);
	assert_int_equal(got.dropped, 3);
	assert_string_equal(work.name.text, "publish");
	/* what the client sends before it knows is dropped by the server */
	assert_int_equal(publish(1, 7), 0);
	assert_int_equal(confirm(1, 5, true), 0);
	assert_int_equal(confirm(2, 1, false), 1);
	control(AMQP_FREES, 0, 1);
	select_confirms(1);
	assert_int_equal(publish(1, 8), REQUEST_BEGAN_KEYED);
	assert_int_equal(confirm(1, 1, false), 1);
	assert_int_equal(end(AMQP_FAILS, 0, 1, 0, false, true), 1);
	assert_string_equal(work.name.text, "channel");
	assert_int_equal(got.untimed, 1);
	consume(3, false); /* deliveries are not what failed */
	deliver(3, 1, 9);
	assert_int_equal(end(AMQP_FAILS, 0, 3, 0, false, true), 1);
	assert_string_equal(work.name.text, "channel");
	assert_int_equal(got.dropped, 1);
}

static void test_connection_closed(void **state)
{
	select_confirms(1);
	consume(2, false);
	publish(1, 1);
	publish(1, 2);
	deliver(2, 1, 3);
	assert_int_equal(end(AMQP_FAILS, 0, 0, 0, false, true), 1);
	assert_int_equal(since(1), 1);
	assert_int_equal(got.dropped, 2);
	assert_int_equal(amqp_in_flight(&flight), 0);
	assert_int_equal(publish(1, 4), REQUEST_BEGAN_SILENT);
}

static void test_deliveries(void **state)
{
	consume(1, false);
	for (int i = 1; i <= 6; i++)
		assert_int_equal(deliver(1, i, i), REQUEST_BEGAN_KEYED);
	assert_int_equal(acknowledge(1, 2, false), 1);
	assert_int_equal(since(2), 1);
	assert_int_equal(end(AMQP_ANSWERS, AMQP_DELIVER, 1, 3, false, true), 1);
	assert_int_equal(got.errors, 1);
	assert_int_equal(acknowledge(1, 0, true), 4);
	assert_int_equal(acknowledge(1, 6, false), 0);
	deliver(1, 7, 7);
	end(AMQP_RECOVERS, AMQP_DELIVER, 1, 0, false, false);
	assert_int_equal(got.dropped, 1);
	assert_int_equal(deliver(1, 8, 8), REQUEST_BEGAN_KEYED);
	assert_int_equal(acknowledge(1, 8, false), 1);
}

static void test_no_ack(void **state)
{
	consume(1, true);
	assert_int_equal(deliver(1, 1, 1), REQUEST_BEGAN_SILENT);
	consume(1, false); /* both on one channel: not told apart */
	assert_int_equal(deliver(1, 2, 1), REQUEST_BEGAN_SILENT);
	assert_int_equal(acknowledge(1, 2, false), 0);
	assert_int_equal(deliver(1, 3, 1), REQUEST_BEGAN_SILENT);
}

static void test_gets(void **state)
{
	assert_int_equal(begin(AMQP_GET, 1, 0, 1), REQUEST_BEGAN_KEYED);
	assert_int_equal(begin(AMQP_GET, 1, 0, 2), REQUEST_BEGAN_KEYED);
	assert_int_equal(begin(AMQP_GET, 2, 0, 3), REQUEST_BEGAN_KEYED);
	assert_int_equal(end(AMQP_ANSWERS, AMQP_GET, 1, 9, false, false), 1);
	assert_int_equal(since(1), 1);
	assert_int_equal(acknowledge(1, 9, false), 0);
	assert_int_equal(end(AMQP_ANSWERS, AMQP_GET, 1, 0, false, false), 1);
	assert_int_equal(since(2), 1);
	assert_int_equal(end(AMQP_FAILS, 0, 2, 0, false, true), 1);
	assert_string_equal(work.name.text, "get");
	assert_int_equal(end(AMQP_ANSWERS, AMQP_GET, 1, 0, false, false), 0);
}

/* An acknowledgement of what was not seen to begin yet. */
static void test_early(void **state)
{
	select_confirms(1);
	assert_int_equal(confirm(1, 1, false), 0);
	assert_int_equal(publish(1, 1), REQUEST_BEGAN_SILENT);
	assert_int_equal(work.outcome, REQUEST_OK);
	assert_int_equal(publish(1, 2), REQUEST_BEGAN_KEYED);
	assert_int_equal(confirm(1, 4, true), 1);
	assert_int_equal(publish(1, 3), REQUEST_BEGAN_SILENT);
	assert_int_equal(end(AMQP_ANSWERS, AMQP_PUBLISH, 1, 5, false, true), 0);
	assert_int_equal(publish(1, 3), REQUEST_BEGAN_SILENT);
	assert_int_equal(work.outcome, REQUEST_ERROR);
	assert_int_equal(publish(1, 3), REQUEST_BEGAN_SILENT);
	assert_int_equal(publish(1, 4), REQUEST_BEGAN_KEYED);
	assert_int_equal(confirm(1, 6, false), 1);
	consume(2, false);
	assert_int_equal(deliver(2, 1, 1), REQUEST_BEGAN_KEYED);
	assert_int_equal(acknowledge(2, 2, false), 0);
	assert_int_equal(deliver(2, 2, 1), REQUEST_BEGAN_SILENT);
	assert_int_equal(acknowledge(2, 1, false), 1);
	assert_int_equal(amqp_in_flight(&flight), 0);
}

/* Tags far ahead of what was seen are no such case, nor are those of another consumer's time. */
static void test_not_early(void **state)
{
	select_confirms(1);
	assert_int_equal(confirm(1, 5, false), 0);
	assert_int_equal(publish(1, 1), REQUEST_BEGAN_KEYED);
	consume(2, false);
	assert_int_equal(acknowledge(2, 50, true), 0);
	assert_int_equal(deliver(2, 51, 1), REQUEST_BEGAN_KEYED);
	assert_int_equal(confirm(1, 2, true), 1);
	control(AMQP_FREES, 0, 1);
	select_confirms(1);
	assert_int_equal(publish(1, 1), REQUEST_BEGAN_KEYED);
}

/* Both directions may begin something at the same time: from both ends of the runs. */
static void test_two_ends(void **state)
{
	select_confirms(1);
	consume(1, false);
	publish(1, 1);
	deliver(1, 1, 2);
	assert_int_equal(flight.start[0], 1);
	assert_int_equal(flight.start[AMQP_RUNS - 1], 2);
}

/* --- connections that are older than the probe */

static void test_old_publisher(void **state)
{
	assert_int_equal(publish(1, 1), REQUEST_BEGAN_SILENT);
	assert_int_equal(confirm(1, 5001, false), 0);
	for (unsigned i = 2; i < 10; i++) { /* one after the other */
		assert_int_equal(publish(1, i), REQUEST_BEGAN_KEYED);
		assert_int_equal(confirm(1, 5000 + i, false), 1);
		assert_int_equal(since(i), 1);
	}
}

/* Its numbers lag behind until it pauses; each publish is counted once, but for those in flight
 * when the first answer came. */
static void test_old_publisher_of_many(void **state)
{
	unsigned n = 0, tag = 800;

	for (int i = 0; i < 100; i++)
		assert_int_equal(publish(1, 1), REQUEST_BEGAN_SILENT);
	assert_int_equal(confirm(1, tag, false), 0); /* of 100 in flight the first */
	for (int i = 0; i < 50; i++) {
		assert_int_equal(publish(1, 2), REQUEST_BEGAN_KEYED);
		n += confirm(1, ++tag, false);
	}
	for (int i = 0; i < 99; i++)
		n += confirm(1, ++tag, false);
	assert_int_equal(n, 50);
	assert_int_equal(amqp_in_flight(&flight), 0);
	assert_int_equal(publish(1, 3), REQUEST_BEGAN_KEYED);
	assert_int_equal(confirm(1, ++tag, false), 1);
	assert_int_equal(since(3), 1);
}

/* Numbers that lag behind with something in flight: that is answered, without a time. */
static void test_set_anew(void **state)
{
	confirm(1, 10, false);
	publish(1, 1);
	publish(1, 2);
	assert_int_equal(confirm(1, 20, false), 2);
	assert_int_equal(got.untimed, 2);
	publish(1, 3);
	assert_int_equal(confirm(1, 21, false), 1);
	assert_int_equal(since(3), 1);
}

static void test_old_consumer(void **state)
{
	assert_int_equal(deliver(1, 70, 1), REQUEST_BEGAN_SILENT);
	assert_int_equal(deliver(1, 71, 1), REQUEST_BEGAN_SILENT);
	assert_int_equal(acknowledge(1, 70, false), 0);
	assert_int_equal(deliver(1, 72, 2), REQUEST_BEGAN_KEYED);
	assert_int_equal(acknowledge(1, 72, true), 1);
	assert_int_equal(since(2), 1);
}

/* --- any order of answers, against a model that knows every tag */

#define MODEL_LANES 4
#define MODEL_TAGS 4096
#define MODEL_STEPS 2000

static struct model {
	uint64_t random;
	struct {
		enum amqp_kind kind;
		unsigned channel, next, in_flight;
		bool open[MODEL_TAGS];
	} lane[MODEL_LANES];
	unsigned began, silent, answered, errors, refused, calls;
	int began_at[MODEL_STEPS + 1]; /* less those that were answered */
} model;

static unsigned pick(unsigned n)
{
	model.random ^= model.random << 13;
	model.random ^= model.random >> 7;
	model.random ^= model.random << 17;
	return (model.random >> 20) % n;
}

static void model_begin(unsigned lane)
{
	unsigned n = 1 + pick(6), start = ++model.calls, began;

	for (; n && model.lane[lane].next < MODEL_TAGS; n--) {
		unsigned tag = model.lane[lane].next++;

		began = begin(model.lane[lane].kind, model.lane[lane].channel, tag, start);
		assert_int_not_equal(began, 0);
		model.began++;
		model.silent += began == REQUEST_BEGAN_SILENT;
		model.began_at[start]++;
		model.lane[lane].open[tag] = true;
		model.lane[lane].in_flight++;
	}
}

static void model_take(void)
{
	model.answered += answers();
	model.errors += got.errors;
	for (int i = 0; i < AMQP_RUNS; i++) {
		if (!got.run[i].n)
			continue;
		assert_in_range(got.run[i].start_ns, 1, model.calls);
		model.began_at[got.run[i].start_ns] -= got.run[i].n;
		assert_true(model.began_at[got.run[i].start_ns] >= 0);
	}
	assert_true(model.answered + model.silent <= model.began);
}

/* Answers the nth that is in flight, or all up to it. */
static void model_end(unsigned lane, unsigned nth, bool multiple, bool error)
{
	bool *open = model.lane[lane].open;
	unsigned tag = 0;

	for (unsigned left = nth + 1; left;)
		left -= open[++tag];
	for (unsigned i = multiple ? 1 : tag; i <= tag; i++) {
		model.refused += open[i] && error;
		model.lane[lane].in_flight -= open[i];
		open[i] = false;
	}
	end(AMQP_ANSWERS, model.lane[lane].kind, model.lane[lane].channel, tag, multiple, error);
	model_take();
}

static void model_step(void)
{
	unsigned lane = pick(MODEL_LANES), open = model.lane[lane].in_flight, nth;

	if (!open || (open < 100 && pick(2))) {
		model_begin(lane);
	} else if (pick(3)) { /* often near the oldest */
		nth = pick(pick(4) ? (open + 9) / 10 : open);
		model_end(lane, nth, false, !pick(10));
	} else {
		model_end(lane, pick(open), true, false);
	}
}

static void model_run(uint64_t seed)
{
	fresh(NULL);
	memset(&model, 0, sizeof(model));
	model.random = seed;
	for (unsigned i = 0; i < MODEL_LANES; i++) {
		model.lane[i].kind = i & 1 ? AMQP_DELIVER : AMQP_PUBLISH;
		model.lane[i].channel = 1 + i / 2;
		model.lane[i].next = 1;
		if (i & 1)
			consume(model.lane[i].channel, false);
		else
			select_confirms(model.lane[i].channel);
	}
	for (unsigned i = 0; i < MODEL_LANES; i++) { /* none is in order: each call has its time */
		while (model.lane[i].in_flight < 2)
			model_begin(i);
		model_end(i, 1, false, false);
	}
	for (int i = 0; i < MODEL_STEPS / 2; i++)
		model_step();
	for (unsigned i = 0; i < MODEL_LANES; i++)
		while (model.lane[i].in_flight)
			model_end(i, pick(model.lane[i].in_flight), !pick(20), false);
	assert_int_equal(model.answered + model.silent, model.began);
	assert_true(model.errors <= model.refused);
	assert_int_equal(amqp_in_flight(&flight), 0);
}

static void test_model(void **state)
{
	unsigned timed = 0;

	for (uint64_t seed = 1; seed <= 300; seed++) {
		model_run(seed * 0x9e3779b97f4a7c15ULL);
		for (unsigned i = 1; i <= model.calls; i++)
			timed += model.began_at[i] == 0;
	}
	assert_true(timed > 300); /* calls whose requests were all timed */
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_in_order),
	    TEST(test_runs),
	    TEST(test_recorded),
	    TEST(test_times),
	    TEST(test_stamps),
	    TEST(test_times_out_of_order),
	    TEST(test_long_run),
	    TEST(test_no_room),
	    TEST(test_more_channels),
	    TEST(test_unconfirmed),
	    TEST(test_errors),
	    TEST(test_channel_closed),
	    TEST(test_connection_closed),
	    TEST(test_deliveries),
	    TEST(test_no_ack),
	    TEST(test_gets),
	    TEST(test_early),
	    TEST(test_not_early),
	    TEST(test_two_ends),
	    TEST(test_old_publisher),
	    TEST(test_old_publisher_of_many),
	    TEST(test_set_anew),
	    TEST(test_old_consumer),
	    TEST(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
