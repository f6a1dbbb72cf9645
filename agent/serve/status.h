/* status.h - handlers of /api/status, /healthz and /readyz: what runs, what does not, and why. */
#ifndef TRIMTAB_STATUS_H
#define TRIMTAB_STATUS_H

struct http_request;
int status_get(struct http_request *q);
int status_healthz(struct http_request *q);
int status_readyz(struct http_request *q);

#endif
