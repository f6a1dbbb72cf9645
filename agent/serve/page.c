/* page.c - see page.h for the contract. */
#include <stdio.h>
#include <string.h>
#include "serve/accept.h"
#include "serve/embed.h"
#include "serve/http.h"
#include "serve/page.h"

static const struct {
	const char *suffix, *content_type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
};

static const struct embed_file *find(const char *name)
{
	for (const struct embed_file *f = embed_web; f < embed_web_end; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

bool page_has(const char *name)
{
	return find(name);
}

static const char *content_type(const char *name)
{
	const char *suffix = strrchr(name, '.');

	for (size_t i = 0; suffix && i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(types[i].suffix, suffix) == 0)
			return types[i].content_type;
	return "application/octet-stream";
}

int page_get(struct http_request *q)
{
	const char *known = http_header(q, MHD_HTTP_HEADER_IF_NONE_MATCH);
	bool packed = accept_gzip(http_header(q, MHD_HTTP_HEADER_ACCEPT_ENCODING));
	const struct embed_file *f = find(q->url[1] ? q->url + 1 : PAGE_INDEX);

	if (!f)
		return http_error(q, MHD_HTTP_NOT_FOUND, "there is no %.80s", q->url);
	/* each form has a tag of its own, so that a cache never mixes them */
	snprintf(q->etag_text, sizeof(q->etag_text), "\"%.16s%s\"", f->tag, packed ? "-z" : "");
	q->etag = q->etag_text;
	q->vary = MHD_HTTP_HEADER_ACCEPT_ENCODING;
	q->content_type = content_type(f->name);
	q->fixed = packed ? f->packed : f->from;
	if (known && (strstr(known, q->etag) || strcmp(known, "*") == 0))
		return MHD_HTTP_NOT_MODIFIED;
	q->encoding = packed ? "gzip" : NULL;
	q->fixed_bytes = (size_t)(packed ? f->packed_end - f->packed : f->end - f->from);
	return MHD_HTTP_OK;
}
