/* scrape.h - GET /metrics: negotiates the format and writes it. */
#ifndef TRIMTAB_SCRAPE_H
#define TRIMTAB_SCRAPE_H

struct http_request;
int scrape_get(struct http_request *q);

#endif
