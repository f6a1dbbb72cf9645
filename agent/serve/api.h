/* api.h - handlers of /api/metrics and /api/syscall/exact. */
#ifndef TRIMTAB_API_H
#define TRIMTAB_API_H

#define API_LIMIT_MAX 10000 /* the default, too */
#define API_OFFSET_MAX 1000000
#define API_EXACT_MAX_S 3600

struct http_request;

/* The upper edges of the histogram's slots as JSON text: an answer has thousands of them, and the
 * shortest text of such a double takes 1 us to find. Free with free(). */
struct api_edges;
struct api_edges *api_edges_new(void);

int api_metrics_get(struct http_request *q);
int api_exact_post(struct http_request *q);

#endif
