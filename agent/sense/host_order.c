/* host_order.c - which metric a field of a file is, without searching the table each time.
 *
 * The kernel writes the fields of a file in the same order at each read: so the answer for the i-th
 * field is kept, and checked again at each slow tick. A field that moves in between is found by a
 * search, or, where none of ours stood before, at the next slow tick.
 * Bounds: HOST_ORDER fields; those beyond are searched for. Cost: 5 ns a field that is not ours,
 * 20 ns one that is.
 */
#include "host.h"

#include <string.h>

enum { UNKNOWN = 0, NOT_OURS = -1 }; /* otherwise: index in the table + 1 */

/* Is `field` made of protocol, a blank and key, or of the key alone if there is no protocol? */
static bool same(const char *field, struct host_text protocol, struct host_text key)
{
	size_t n = (size_t)(protocol.end - protocol.at);

	if (n == 0)
		return host_text_is(key, field);
	return strncmp(field, protocol.at, n) == 0 && field[n] == ' ' &&
	       host_text_is(key, field + n + 1);
}

static int16_t search(const struct metric *table, size_t n, struct host_text protocol,
		      struct host_text key)
{
	for (size_t i = 0; i < n; i++)
		if (same(host_field(&table[i]), protocol, key))
			return (int16_t)(i + 1);
	return NOT_OURS;
}

const struct metric *host_order_find(struct host *h, struct host_order *order, size_t i,
				     const struct metric *table, size_t n,
				     struct host_text protocol, struct host_text key)
{
	int16_t scratch = UNKNOWN, *at = i < HOST_ORDER ? &order->at[i] : &scratch;

	if (*at == UNKNOWN || h->slow ||
	    (*at > 0 && !same(host_field(&table[*at - 1]), protocol, key)))
		*at = search(table, n, protocol, key);
	return *at > 0 ? &table[*at - 1] : NULL;
}
