/* http.c - see http.h for the contract. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <cjson/cJSON.h>
#include "core/agent.h"
#include "core/log.h"
#include "serve/address.h"
#include "serve/api.h"
#include "serve/http.h"
#include "serve/own.h"
#include "serve/routes.h"

/* A client that goes on sending after it was too much is cut off here. */
#define BODY_CUT_BYTES (16 * HTTP_BODY_MAX_BYTES)
/* A larger buffer goes back to the system after its answer. */
#define SPARE_MAX_BYTES (4UL << 20)

struct http {
	struct agent *agent;
	bool loopback;
	struct own *own;
	struct api_edges *edges;
	struct buffer spare; /* the memory of an answer that was sent */
};

/* An answer's memory while libmicrohttpd sends it. */
struct lent {
	struct http *http;
	struct buffer buffer;
};

struct http *http_new(struct agent *a, struct own *own, bool loopback)
{
	struct http *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->agent = a;
	h->own = own;
	h->loopback = loopback;
	h->edges = api_edges_new();
	if (!h->edges) {
		free(h);
		return NULL;
	}
	return h;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	buffer_free(&h->spare);
	free(h->edges);
	free(h);
}

/* --- for handlers */

const char *http_query(struct http_request *q, const char *name)
{
	return MHD_lookup_connection_value(q->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *http_header(struct http_request *q, const char *name)
{
	return MHD_lookup_connection_value(q->connection, MHD_HEADER_KIND, name);
}

int http_query_uint(struct http_request *q, const char *name, uint64_t fallback, uint64_t min,
		    uint64_t max, uint64_t *ret)
{
	const char *text = http_query(q, name);
	size_t n = text ? strspn(text, "0123456789") : 0;
	uint64_t value;

	if (!text) {
		*ret = fallback;
		return 0;
	}
	value = n && n < 19 && !text[n] ? strtoull(text, NULL, 10) : UINT64_MAX;
	if (value < min || value > max)
		return http_error(q, MHD_HTTP_BAD_REQUEST,
				  "%s has to be a whole number from %llu to %llu", name,
				  (unsigned long long)min, (unsigned long long)max);
	*ret = value;
	return 0;
}

static const char *error_code(int status)
{
	static const struct {
		int status;
		const char *code;
	} codes[] = {
	    {MHD_HTTP_BAD_REQUEST, "bad_request"},
	    {MHD_HTTP_UNAUTHORIZED, "unauthorized"},
	    {MHD_HTTP_NOT_FOUND, "not_found"},
	    {MHD_HTTP_METHOD_NOT_ALLOWED, "method_not_allowed"},
	    {MHD_HTTP_CONTENT_TOO_LARGE, "too_large"},
	    {MHD_HTTP_MISDIRECTED_REQUEST, "wrong_host"},
	    {MHD_HTTP_SERVICE_UNAVAILABLE, "unavailable"},
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].status == status)
			return codes[i].code;
	return "internal";
}

int http_error(struct http_request *q, int status, const char *format, ...)
{
	char message[512];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	buffer_clear(&q->out);
	q->fixed = NULL;
	q->etag = q->vary = q->encoding = NULL;
	q->content_type = "application/json";
	buffer_puts(&q->out, "{\"error\":{\"code\":\"");
	buffer_puts(&q->out, error_code(status));
	buffer_puts(&q->out, "\",\"message\":");
	buffer_json_string(&q->out, message, strlen(message));
	buffer_puts(&q->out, "}}\n");
	return status;
}

int http_json(struct http_request *q, struct cJSON *json, int status)
{
	char *text = cJSON_PrintUnformatted(json);

	cJSON_Delete(json);
	if (!text)
		return http_error(q, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
	buffer_puts(&q->out, text);
	buffer_char(&q->out, '\n');
	free(text);
	return status;
}

/* --- the checks */

/* Looks at every byte of the token whatever was sent, so that the time taken tells nothing. */
static bool token_is(const char *token, const char *given)
{
	size_t n = strlen(token), m = strlen(given);
	unsigned differ = n != m;

	for (size_t i = 0; i < n; i++)
		differ |= (unsigned char)token[i] ^ (unsigned char)(m ? given[i % m] : 0);
	return n && m && !differ;
}

static bool is_authorized(struct http_request *q)
{
	static const char scheme[] = "Bearer ";
	const char *header = http_header(q, MHD_HTTP_HEADER_AUTHORIZATION);

	if (!header || strncasecmp(header, scheme, sizeof(scheme) - 1) != 0)
		return false;
	header += sizeof(scheme) - 1;
	return token_is(q->agent->token, header + strspn(header, " "));
}

static bool needs_token(const struct http_request *q)
{
	return q->route->access == ROUTE_WRITE ||
	       (q->route->access == ROUTE_READ && !q->http->loopback);
}

/* 0 or the status of the error it wrote; ret_allow as routes_find() has it. */
static int check(struct http_request *q, const char *url, const char *method,
		 char ret_allow[ROUTES_ALLOW_MAX])
{
	const char *host = http_header(q, MHD_HTTP_HEADER_HOST);
	const char *length = http_header(q, MHD_HTTP_HEADER_CONTENT_LENGTH);

	if (q->http->loopback && host && !address_host_is_local(host))
		return http_error(
		    q, MHD_HTTP_MISDIRECTED_REQUEST,
		    "this address serves localhost, not \"%.80s\"; a proxy has to send "
		    "Host: localhost, or bind serve.listen to another address",
		    host);
	q->route = routes_find(url, method, ret_allow);
	if (!q->route && !*ret_allow)
		return http_error(q, MHD_HTTP_NOT_FOUND,
				  "there is no %.80s; /api/openapi.json lists what there is", url);
	if (!q->route)
		return http_error(q, MHD_HTTP_METHOD_NOT_ALLOWED, "%.80s takes %s", url, ret_allow);
	if (needs_token(q) && !is_authorized(q))
		return http_error(
		    q, MHD_HTTP_UNAUTHORIZED,
		    "send Authorization: Bearer with the token of the file \"token\" in "
		    "the state directory, or of serve.token");
	if (length && strtoull(length, NULL, 10) > HTTP_BODY_MAX_BYTES)
		return http_error(q, MHD_HTTP_CONTENT_TOO_LARGE, "a body is at most %lu bytes",
				  HTTP_BODY_MAX_BYTES);
	return 0;
}

/* --- the reply */

static void give_back(struct http *h, struct buffer *b)
{
	if (b->data && !h->spare.data && b->room <= SPARE_MAX_BYTES) {
		h->spare = *b;
		buffer_clear(&h->spare);
		*b = (struct buffer){0};
	}
	buffer_free(b);
}

static void lent_back(void *cls)
{
	struct lent *l = cls;

	give_back(l->http, &l->buffer);
	free(l);
}

static struct MHD_Response *make_response(struct http_request *q)
{
	struct MHD_Response *response;
	struct lent *l;

	if (q->fixed)
		return MHD_create_response_from_buffer(q->fixed_bytes, (void *)q->fixed,
						       MHD_RESPMEM_PERSISTENT);
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->http = q->http;
	l->buffer = q->out;
	response = MHD_create_response_from_buffer_with_free_callback_cls(
	    l->buffer.len, l->buffer.data, lent_back, l);
	if (response)
		q->out = (struct buffer){0};
	else
		free(l);
	return response;
}

static void add_headers(struct http_request *q, struct MHD_Response *r, int status,
			const char *allow)
{
	const struct {
		const char *name, *value;
		bool wanted;
	} headers[] = {
	    {MHD_HTTP_HEADER_CONTENT_TYPE, q->content_type, true},
	    {"X-Content-Type-Options", "nosniff", true},
	    {MHD_HTTP_HEADER_CACHE_CONTROL, q->etag ? "no-cache" : "no-store", true},
	    {MHD_HTTP_HEADER_ETAG, q->etag, q->etag},
	    {MHD_HTTP_HEADER_VARY, q->vary, q->vary},
	    {MHD_HTTP_HEADER_CONTENT_ENCODING, q->encoding, q->encoding},
	    {MHD_HTTP_HEADER_ALLOW, allow, status == MHD_HTTP_METHOD_NOT_ALLOWED},
	    {MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"trimtab\"",
	     status == MHD_HTTP_UNAUTHORIZED},
	    /* frames and forms of other sites have no business here, nor has any script but ours */
	    {"Content-Security-Policy",
	     "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
	     "form-action 'none'; frame-ancestors 'none'",
	     true},
	    {"Referrer-Policy", "no-referrer", true},
	    {"Cross-Origin-Resource-Policy", "same-origin", true},
	};

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		if (headers[i].wanted)
			MHD_add_response_header(r, headers[i].name, headers[i].value);
}

static enum MHD_Result reply(struct http_request *q, int status, const char *allow)
{
	enum MHD_Result result = MHD_NO;
	struct MHD_Response *response;

	if (q->out.failed) {
		log_warn("serve", "%s: the answer does not fit in %lu MiB of memory",
			 q->route ? q->route->path : "an answer", BUFFER_MAX_BYTES >> 20);
		buffer_free(&q->out);
		status = http_error(q, MHD_HTTP_INTERNAL_SERVER_ERROR,
				    "the answer does not fit; ask for less with match or limit");
	}
	response = make_response(q);
	if (response) {
		add_headers(q, response, status, allow);
		result = MHD_queue_response(q->connection, (unsigned)status, response);
		MHD_destroy_response(response);
	}
	own_count(q->http->own, q->route, status, agent_now_ns() - q->started_ns);
	return result;
}

/* --- the life of a request */

static struct http_request *begin(struct http *h, struct MHD_Connection *connection)
{
	struct http_request *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->http = h;
	q->agent = h->agent;
	q->connection = connection;
	q->edges = h->edges;
	q->content_type = "application/json";
	q->started_ns = agent_now_ns();
	q->out = h->spare;
	h->spare = (struct buffer){0};
	return q;
}

/* The body in parts; what is over the bound is read and dropped, so that the client gets its 413.
 */
static enum MHD_Result take_body(struct http_request *q, const char *data, size_t *data_bytes)
{
	q->body_bytes += *data_bytes;
	if (q->body_bytes > BODY_CUT_BYTES)
		return MHD_NO;
	if (q->body_bytes <= HTTP_BODY_MAX_BYTES)
		buffer_put(&q->body, data, *data_bytes);
	*data_bytes = 0;
	return MHD_YES;
}

enum MHD_Result http_handle(void *cls, struct MHD_Connection *connection, const char *url,
			    const char *method, const char *version, const char *data,
			    size_t *data_bytes, void **request)
{
	char allow[ROUTES_ALLOW_MAX] = "";
	struct http_request *q = *request;
	int status;

	if (!q) {
		q = *request = begin(cls, connection);
		if (!q)
			return MHD_NO;
		status = check(q, url, method, allow);
		return status ? reply(q, status, allow) : MHD_YES;
	}
	if (*data_bytes)
		return take_body(q, data, data_bytes);
	if (q->body_bytes > HTTP_BODY_MAX_BYTES)
		status = http_error(q, MHD_HTTP_CONTENT_TOO_LARGE, "a body is at most %lu bytes",
				    HTTP_BODY_MAX_BYTES);
	else if (q->body.failed)
		status = http_error(q, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
	else {
		q->url = url;
		status = q->route->handle(q);
	}
	return reply(q, status, allow);
}

void http_completed(void *cls, struct MHD_Connection *connection, void **request,
		    enum MHD_RequestTerminationCode code)
{
	struct http_request *q = *request;

	if (!q)
		return;
	give_back(q->http, &q->out);
	buffer_free(&q->body);
	free(q);
	*request = NULL;
}
