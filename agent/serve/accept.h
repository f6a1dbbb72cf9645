/* accept.h - which exposition format an Accept header asks for (RFC 9110, 12.5.1), and whether gzip
 * may be sent. Pure.
 *
 * The most specific media range decides each format's q; the highest q wins, then the more specific
 * range, then the earlier one. Nothing that fits, or no header, means text: a scrape that could be
 * read is better than a 406. Reads at most ACCEPT_MAX_BYTES; what follows is ignored.
 */
#ifndef TRIMTAB_ACCEPT_H
#define TRIMTAB_ACCEPT_H

#include <stdbool.h>

#define ACCEPT_MAX_BYTES 4096

enum exposition { EXPOSITION_TEXT, EXPOSITION_OPENMETRICS, EXPOSITION_PROTOBUF };
#define EXPOSITIONS 3

enum exposition accept_choose(const char *accept); /* NULL: no header */
const char *accept_content_type(enum exposition e);

/* Whether an Accept-Encoding header takes gzip (RFC 9110, 12.5.3). No header: no, to be safe. */
bool accept_gzip(const char *accept_encoding);

#endif
