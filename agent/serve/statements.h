/* statements.h - handler of /api/services/statements. */
#ifndef TRIMTAB_STATEMENTS_H
#define TRIMTAB_STATEMENTS_H

#define STATEMENTS_LIMIT_MAX 2048 /* of each service the busiest */

struct http_request;

int statements_get(struct http_request *q);

#endif
