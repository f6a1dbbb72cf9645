/* http.h - one request from its headers to its answer: the checks that every route shares, the
 * route's handler, the reply. Built on libmicrohttpd; serve.c runs the connections.
 *
 * Checks, in this order: Host (when bound to loopback), path, method, token, size of the body. A
 * handler writes the body to `out` and returns the status; errors go through http_error().
 * Bounds: HTTP_BODY_MAX_BYTES a request body, BUFFER_MAX_BYTES an answer. Cost: about 5 us a
 * request and its handler.
 */
#ifndef TRIMTAB_HTTP_H
#define TRIMTAB_HTTP_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "serve/buffer.h"

#define HTTP_BODY_MAX_BYTES (64UL << 10)

struct agent;
struct cJSON;
struct api_edges;
struct http;
struct own;
struct route;

struct http_request {
	struct agent *agent;
	const struct route *route; /* NULL: none fits */
	const char *url;	   /* its path, until the handler returns */
	const struct api_edges *edges;
	struct buffer out;	  /* the answer's body */
	struct buffer body;	  /* the request's */
	const char *content_type; /* of the answer; application/json at first */
	const char *etag;	  /* NULL: the answer is not to be cached */
	const char *vary;	  /* the request header that chose the answer's form; NULL: none */
	const char *encoding;	  /* of `fixed`; NULL: none */
	const void *fixed;	  /* sent instead of `out`; lives as long as the program */
	size_t fixed_bytes;
	/* private */
	struct http *http;
	struct MHD_Connection *connection;
	uint64_t started_ns, body_bytes;
	char etag_text[24];
};

struct http *http_new(struct agent *a, struct own *own, bool loopback); /* own: borrowed */
void http_free(struct http *h);

/* MHD_AccessHandlerCallback and MHD_RequestCompletedCallback; cls is the struct http. */
enum MHD_Result http_handle(void *cls, struct MHD_Connection *connection, const char *url,
			    const char *method, const char *version, const char *data,
			    size_t *data_bytes, void **request);
void http_completed(void *cls, struct MHD_Connection *connection, void **request,
		    enum MHD_RequestTerminationCode code);

/* --- for handlers */

/* A query parameter, decoded; NULL if it is not given. */
const char *http_query(struct http_request *q, const char *name);
/* 0, or the status of the error it wrote because the parameter is not a whole number from min to
 * max. */
int http_query_uint(struct http_request *q, const char *name, uint64_t fallback, uint64_t min,
		    uint64_t max, uint64_t *ret);
const char *http_header(struct http_request *q, const char *name);
/* Replaces the body by {"error":{"code":...,"message":...}}; returns status. */
__attribute__((format(printf, 3, 4))) int http_error(struct http_request *q, int status,
						     const char *format, ...);
/* Writes `json` to the body and frees it; returns status, or that of an error. */
int http_json(struct http_request *q, struct cJSON *json, int status);

#endif
