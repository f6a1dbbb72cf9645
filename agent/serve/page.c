/* page.c - the live page: the files of dashboards/web, which embed.S puts into the program.
 *
 * A browser keeps them and asks again each time (ETag, 304), so a new build is seen at once.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "serve/embed.h"
#include "serve/http.h"
#include "serve/page.h"
#include "serve/routes.h"

static const struct file {
	const char *path, *content_type, *from, *end;
} files[] = {
    {"/", "text/html; charset=utf-8", embed_index, embed_index_end},
    {"/app.js", "text/javascript; charset=utf-8", embed_script, embed_script_end},
    {"/app.css", "text/css; charset=utf-8", embed_style, embed_style_end},
};

/* FNV-1a: tells builds apart, guards nothing */
static uint64_t hash_of(const char *from, const char *end)
{
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (; from < end; from++)
		hash = (hash ^ (unsigned char)*from) * 0x100000001b3ULL;
	return hash;
}

int page_get(struct http_request *q)
{
	const char *known = http_header(q, MHD_HTTP_HEADER_IF_NONE_MATCH);
	const struct file *f = files;

	while (strcmp(f->path, q->route->path) != 0)
		f++;
	snprintf(q->etag_text, sizeof(q->etag_text), "\"%016llx\"",
		 (unsigned long long)hash_of(f->from, f->end));
	q->etag = q->etag_text;
	q->content_type = f->content_type;
	q->fixed = f->from;
	if (known && (strstr(known, q->etag) || strcmp(known, "*") == 0))
		return MHD_HTTP_NOT_MODIFIED;
	q->fixed_bytes = (size_t)(f->end - f->from);
	return MHD_HTTP_OK;
}
