/* page.h - GET / and what the page loads. */
#ifndef TRIMTAB_PAGE_H
#define TRIMTAB_PAGE_H

struct http_request;
int page_get(struct http_request *q);

#endif
