#include "estimate.h"

#include <math.h>

/* Student's t for 99 % (two-sided), Cornish-Fisher's expansion: within 1.2 % from 4 degrees on. */
static double student_t99(double df)
{
	return 2.5758 + 4.9168 / df + 8.8364 / (df * df) + 12.15 / (df * df * df);
}

/* Of a count with this variance. The terms beside the square root are Wilson's: the mean of a rare
 * event is further above a low count than the variance seen says; at 0 events it is all there is.
 */
static double half_width(double t, double variance)
{
	return t * sqrt(variance + t * t / 4) + t * t / 2;
}

static uint32_t kept(const struct estimate_clock *c)
{
	return c->ticks < ESTIMATE_TICKS ? c->ticks : ESTIMATE_TICKS;
}

void estimate_tick(struct estimate_clock *c, double observed_s, double elapsed_s)
{
	uint32_t i = c->ticks++ % ESTIMATE_TICKS;

	if (c->ticks >= 2 * ESTIMATE_TICKS) /* stay far from wrapping */
		c->ticks -= ESTIMATE_TICKS;
	c->observed_s[i] = observed_s;
	c->elapsed_s[i] = elapsed_s;
}

void estimate_note(const struct estimate_clock *c, struct estimate_counts *e, uint64_t events)
{
	e->events[(c->ticks - 1) % ESTIMATE_TICKS] = events > UINT32_MAX ? UINT32_MAX : events;
}

static double sum(const double *x, uint32_t n)
{
	double s = 0;

	for (uint32_t i = 0; i < n; i++)
		s += x[i];
	return s;
}

double estimate_observed_ratio(const struct estimate_clock *c)
{
	double elapsed = sum(c->elapsed_s, kept(c));

	return elapsed > 0 ? fmin(1, sum(c->observed_s, kept(c)) / elapsed) : 0;
}

bool estimate_rate(const struct estimate_clock *c, const struct estimate_counts *e,
		   double *ret_per_s, double *ret_error)
{
	uint32_t n = kept(c), used = 0;
	double observed = sum(c->observed_s, n), events = 0, squares = 0, d, rate, unseen;

	if (observed <= 0)
		return false;
	for (uint32_t i = 0; i < n; i++)
		events += e->events[i];
	rate = events / observed;
	for (uint32_t i = 0; i < n; i++) {
		d = e->events[i] - rate * c->observed_s[i];
		squares += d * d;
		used += c->observed_s[i] > 0;
	}
	unseen = 1 - estimate_observed_ratio(c);
	*ret_per_s = rate;
	*ret_error = NAN;
	if (unseen < 1e-3) /* exact mode; the clocks of two processes differ by microseconds */
		*ret_error = 0;
	else if (used >= ESTIMATE_TICKS_MIN)
		*ret_error =
		    half_width(student_t99(used - 1), unseen * squares * used / (used - 1)) /
		    observed;
	return true;
}
