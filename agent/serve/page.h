/* page.h - GET / and what the page loads: the files of dashboards/web, which are in the program.
 *
 * A browser keeps them and asks again each time (ETag, 304), so a new build is seen at once. Who
 * takes gzip is sent what the build packed. Cost: about 5 us and no copy.
 */
#ifndef TRIMTAB_PAGE_H
#define TRIMTAB_PAGE_H

#include <stdbool.h>

#define PAGE_INDEX "index.html" /* what / is */

struct http_request;
int page_get(struct http_request *q);
bool page_has(const char *name); /* without the slash */

#endif
