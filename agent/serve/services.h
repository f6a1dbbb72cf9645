/* services.h - handlers of /api/services and /api/services/slow. */
#ifndef TRIMTAB_SERVICES_H
#define TRIMTAB_SERVICES_H

#define SERVICES_LIMIT_MAX 128 /* REQUEST_SERVICES */
#define SERVICES_SLOW_MAX 256  /* REQUEST_SAMPLES */

struct http_request;
struct cJSON;
struct agent;

int services_get(struct http_request *q);
int services_slow_get(struct http_request *q);
/* Adds "unseen_bytes": {reason: bytes}. */
void services_add_unseen(struct cJSON *to, const struct agent *a);

#endif
