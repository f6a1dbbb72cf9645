/* sql.h - the tokens of a statement, by PostgreSQL's lexical rules. Pure.
 *
 * What cannot be read to its end is no token: a string, quoted name or comment that the end of the
 * text cuts, and a string with a backslash before a quote, which ends it or not by a setting of the
 * session. The scan ends there, so that nothing behind it is taken for what it may not be.
 */
#ifndef TRIMTAB_SQL_H
#define TRIMTAB_SQL_H

#include <stdbool.h>
#include <stddef.h>

enum sql_kind {
	SQL_END,
	SQL_SPACE,   /* with comments */
	SQL_WORD,    /* a name or keyword */
	SQL_QUOTED,  /* a name in double quotes */
	SQL_LITERAL, /* a number, a string of any kind, $1 */
	SQL_SIGN,    /* any other character */
};

struct sql_token {
	enum sql_kind kind;
	const char *at;
	size_t bytes;
};

struct sql_scan {
	const char *at, *end;
	bool cut;  /* the statement goes on behind the end */
	bool lost; /* set where the scan had to end */
};

struct sql_token sql_next(struct sql_scan *s);
struct sql_token sql_next_but_space(struct sql_scan *s);
bool sql_is_sign(struct sql_token t, char c);

#endif
