/* openapi.h - GET /api/openapi.json: the route table, and the schemas of openapi.json. */
#ifndef TRIMTAB_OPENAPI_H
#define TRIMTAB_OPENAPI_H

struct http_request;
int openapi_get(struct http_request *q);

#endif
