/* routes.h - what is served: one table, which the dispatch, /api/openapi.json and the docs use.
 *
 * A new route is one entry in routes.c and its handler.
 */
#ifndef TRIMTAB_ROUTES_H
#define TRIMTAB_ROUTES_H

#include <stddef.h>

#define ROUTE_PARAMS_MAX 6
#define ROUTES_FILE "/{file}" /* any file of the page */

struct http_request;

enum route_access {
	ROUTE_OPEN,  /* never a token */
	ROUTE_READ,  /* a token unless bound to loopback */
	ROUTE_WRITE, /* always a token */
};

struct route {
	/* The path is exact but for ROUTES_FILE; HEAD goes where GET goes. */
	const char *path, *method;
	enum route_access access;
	int (*handle)(struct http_request *q);
	int status; /* of success */
	const char *summary;
	const char *schema;   /* of the JSON answer, in openapi.json; NULL: not JSON */
	const char *types[4]; /* media types of the answer; NULL: JSON alone */
	struct {
		const char *name, *about;
		const char *type;	   /* "integer", "string" */
		const char *const *values; /* an enumeration, ended by NULL */
		double min, max;	   /* of an integer */
		const char *fallback;	   /* NULL: none */
	} param[ROUTE_PARAMS_MAX];
};

extern const struct route routes[];
extern const size_t routes_n;

/* The route of a path and method; NULL if there is none. ret_allow, in that case: the methods that
 * the path has ("GET, HEAD"), "" if there is no such path. */
#define ROUTES_ALLOW_MAX 64
const struct route *routes_find(const char *path, const char *method,
				char ret_allow[ROUTES_ALLOW_MAX]);

#endif
