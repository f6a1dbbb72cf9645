/* accept.c - see accept.h for the contract. */
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include "serve/accept.h"

struct span {
	const char *at;
	size_t n;
};

static const struct offer {
	const char *type, *subtype, *content_type;
	/* parameters that a range may name, and the only value of each that is served */
	struct {
		const char *name, *value;
	} param[2];
} offers[EXPOSITIONS] = {
    [EXPOSITION_TEXT] = {"text",
			 "plain",
			 "text/plain; version=0.0.4; charset=utf-8",
			 {{"version", "0.0.4"}}},
    [EXPOSITION_OPENMETRICS] = {"application",
				"openmetrics-text",
				"application/openmetrics-text; version=1.0.0; charset=utf-8",
				{{"version", "1.0.0"}}},
    [EXPOSITION_PROTOBUF] = {"application",
			     "vnd.google.protobuf",
			     "application/vnd.google.protobuf; "
			     "proto=io.prometheus.client.MetricFamily; encoding=delimited",
			     {{"proto", "io.prometheus.client.MetricFamily"},
			      {"encoding", "delimited"}}},
};

static bool is(struct span s, const char *text)
{
	return s.n == strlen(text) && strncasecmp(s.at, text, s.n) == 0;
}

static struct span trim(struct span s)
{
	while (s.n && (*s.at == ' ' || *s.at == '\t'))
		s.at++, s.n--;
	while (s.n && (s.at[s.n - 1] == ' ' || s.at[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* Takes what precedes the first separator outside quotes off *rest. */
static struct span take(struct span *rest, char separator)
{
	struct span part = {rest->at, 0};
	bool quoted = false;

	while (part.n < rest->n && (quoted || part.at[part.n] != separator)) {
		if (part.at[part.n] == '"')
			quoted = !quoted;
		part.n++;
	}
	rest->at += part.n;
	rest->n -= part.n;
	if (rest->n)
		rest->at++, rest->n--;
	return trim(part);
}

/* 0 .. 1000; what is not a number counts as 1, as the common servers have it */
static int parse_q(struct span s)
{
	int q = 0, place = 100;

	if (!s.n || s.at[0] < '0' || s.at[0] > '9')
		return 1000;
	if (s.at[0] != '0')
		return 1000;
	for (size_t i = 2; i < s.n && i < 5 && s.at[1] == '.'; i++, place /= 10) {
		if (s.at[i] < '0' || s.at[i] > '9')
			break;
		q += place * (s.at[i] - '0');
	}
	return q;
}

/* What a range's parameters mean for an offer: false if one excludes it. */
static bool params_fit(const struct offer *offer, struct span params, int *ret_named, int *ret_q)
{
	*ret_named = 0;
	*ret_q = 1000;
	while (params.n) {
		struct span value = take(&params, ';'), name = take(&value, '=');

		value = trim(value);
		if (value.n >= 2 && value.at[0] == '"' && value.at[value.n - 1] == '"')
			value = (struct span){value.at + 1, value.n - 2};
		if (is(name, "q")) {
			*ret_q = parse_q(value);
			break; /* what follows is not a media type parameter */
		}
		for (size_t i = 0; i < 2 && offer->param[i].name; i++) {
			if (!is(name, offer->param[i].name))
				continue;
			if (!is(value, offer->param[i].value))
				return false;
			++*ret_named;
		}
	}
	return true;
}

/* How specifically a range names an offer: 0 for an all-wildcard range, then type, subtype and each
 * parameter; -1 if not at all. */
static int specificity(const struct offer *offer, struct span range, int *ret_q)
{
	struct span subtype = take(&range, ';'), type = take(&subtype, '/');
	bool any_type = is(type, "*"), any_subtype = is(subtype, "*");
	int named;

	if (any_type ? !any_subtype : !is(type, offer->type))
		return -1;
	if (!any_subtype && !is(subtype, offer->subtype))
		return -1;
	if (!params_fit(offer, range, &named, ret_q))
		return -1;
	return any_type ? 0 : any_subtype ? 1 : 2 + named;
}

enum exposition accept_choose(const char *accept)
{
	struct {
		int specificity, q, position;
	} found[EXPOSITIONS];
	enum exposition best = EXPOSITION_TEXT;
	struct span rest = {accept, accept ? strnlen(accept, ACCEPT_MAX_BYTES) : 0};

	for (int e = 0; e < EXPOSITIONS; e++)
		found[e].specificity = -1, found[e].q = 0, found[e].position = 0;
	for (int position = 0; rest.n; position++) {
		struct span range = take(&rest, ',');

		for (int e = 0; e < EXPOSITIONS; e++) {
			int q = 0, s = specificity(&offers[e], range, &q);

			if (s > found[e].specificity) {
				found[e].specificity = s;
				found[e].q = q;
				found[e].position = position;
			}
		}
	}
	for (int e = 1; e < EXPOSITIONS; e++) {
		int more = found[e].q - found[best].q;

		if (!more)
			more = found[e].specificity - found[best].specificity;
		if (!more)
			more = found[best].position - found[e].position;
		if (more > 0 && found[e].q > 0)
			best = (enum exposition)e;
	}
	return best;
}

const char *accept_content_type(enum exposition e)
{
	return offers[e].content_type;
}

bool accept_gzip(const char *accept_encoding)
{
	struct span rest = {accept_encoding,
			    accept_encoding ? strnlen(accept_encoding, ACCEPT_MAX_BYTES) : 0};
	bool any = false;

	while (rest.n) {
		struct span params = take(&rest, ','), coding = take(&params, ';');
		int q = 1000;

		while (params.n) {
			struct span value = take(&params, ';'), name = take(&value, '=');

			if (is(name, "q"))
				q = parse_q(trim(value));
		}
		if (is(coding, "gzip") || is(coding, "x-gzip"))
			return q > 0;
		if (is(coding, "*"))
			any = q > 0;
	}
	return any;
}
