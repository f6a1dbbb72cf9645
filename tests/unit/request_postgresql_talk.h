/* request_postgresql_talk.h - what clients and servers said to each other, for
 * request_postgresql_test.c: recorded between psql 15, pgbench 15, pg_recvlogical 15 and a client
 * of our own, and PostgreSQL 15. Only the settings of the startup were left out, but once.
 */
#ifndef TRIMTAB_TESTS_REQUEST_POSTGRESQL_TALK_H
#define TRIMTAB_TESTS_REQUEST_POSTGRESQL_TALK_H

#include <stddef.h>

struct message {
	char who;  /* 'C': a call of the client begins, 'S': of the server; 0: the call goes on */
	char type; /* 0: none, the body is all */
	const char *body;
	size_t n;
};

#define ASK(type, body)                                                                            \
	{                                                                                          \
		'C', type, body, sizeof(body) - 1                                                  \
	}
#define TELL(type, body)                                                                           \
	{                                                                                          \
		'S', type, body, sizeof(body) - 1                                                  \
	}
#define AND(type, body)                                                                            \
	{                                                                                          \
		0, type, body, sizeof(body) - 1                                                    \
	}

#define START ASK(0, "\0\0\0)\0\x03\0\0user\0postgres\0database\0postgres\0\0")
#define STARTED TELL('R', "\0\0\0\0"), AND('K', "\0\0-\x89\x1e\xba\x9bN"), AND('Z', "I")
#define UNNAMED "\0\0\0\0\0\0\0\0" /* Bind */
#define ALL_ROWS "\0\0\0\0\0"
#define COLUMN "\0\x01?column?\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0"
#define ROW(digit) "\0\x01\0\0\0\x01" #digit
#define DIVISION "SERROR\0VERROR\0C22012\0Mdivision by zero\0Fint.c\0L869\0Rint4div\0\0"
#define NO_STATEMENT                                                                               \
	"SERROR\0VERROR\0C26000\0Mprepared statement \"nosuch\" does not "                         \
	"exist\0Fprepare.c\0L451\0RFetchPreparedStatement\0\0"

static const struct message talk_psql[] = {
    ASK(0, "\0\0\0\x08\x04\xd2\x16/"),
    TELL(0, "N"),
    ASK(0, "\0\0\0?\0\x03\0\0user\0postgres\0database\0postgres\0application_name\0psql\0\0"),
    TELL('R', "\0\0\0\0"),
    AND('S', "application_name\0psql\0"),
    AND('S', "client_encoding\0UTF8\0"),
    AND('S', "DateStyle\0ISO, MDY\0"),
    AND('S', "default_transaction_read_only\0off\0"),
    AND('S', "in_hot_standby\0off\0"),
    AND('S', "integer_datetimes\0on\0"),
    AND('S', "IntervalStyle\0postgres\0"),
    AND('S', "is_superuser\0on\0"),
    AND('S', "server_encoding\0UTF8\0"),
    AND('S', "server_version\00015.20 (Debian 15.20-0+deb12u1)\0"),
    AND('S', "session_authorization\0postgres\0"),
    AND('S', "standard_conforming_strings\0on\0"),
    AND('S', "TimeZone\0Etc/UTC\0"),
    AND('K', "\0\0+\x9a\xb6\\\x92N"),
    AND('Z', "I"),
    ASK('Q', "select 1;\0"),
    TELL('T', COLUMN),
    AND('D', ROW(1)),
    AND('C', "SELECT 1\0"),
    AND('Z', "I"),
    ASK('Q', "create table t(a int, b text);\0"),
    TELL('C', "CREATE TABLE\0"),
    AND('Z', "I"),
    ASK('Q', "copy t from stdin;\0"),
    TELL('G', "\0\0\x02\0\0\0\0"),
    ASK('d', "3\tz\n"
	     "4\tw\n\\.\n"),
    AND('c', ""),
    TELL('C', "COPY 2\0"),
    AND('Z', "I"),
    ASK('Q', "copy t to stdout;\0"),
    TELL('H', "\0\0\x02\0\0\0\0"),
    AND('d', "1\tx\n"),
    AND('d', "2\ty\n"),
    AND('d', "3\tz\n"),
    AND('d', "4\tw\n"),
    AND('c', ""),
    AND('C', "COPY 4\0"),
    AND('Z', "I"),
    ASK('Q', "select nosuch;\0"),
    TELL('E', "SERROR\0VERROR\0C42703\0Mcolumn \"nosuch\" does not "
	      "exist\0P8\0Fparse_relation.c\0L3665\0RerrorMissingColumn\0\0"),
    TELL('Z', "I"),
    ASK('Q', "begin;\0"),
    TELL('C', "BEGIN\0"),
    AND('Z', "T"),
    ASK('Q', "select 2; select 3; update t set b='q' where a=1;\0"),
    TELL('T', COLUMN),
    AND('D', ROW(2)),
    AND('C', "SELECT 1\0"),
    AND('T', COLUMN),
    AND('D', ROW(3)),
    AND('C', "SELECT 1\0"),
    AND('C', "UPDATE 1\0"),
    AND('Z', "T"),
    ASK('Q', "select 1 ; select nosuch ; select 3;\0"),
    TELL('T', COLUMN),
    AND('D', ROW(1)),
    AND('C', "SELECT 1\0"),
    AND('E', "SERROR\0VERROR\0C42703\0Mcolumn \"nosuch\" does not "
	     "exist\0P19\0Fparse_relation.c\0L3665\0RerrorMissingColumn\0\0"),
    TELL('Z', "I"),
    ASK('Q', ";\0"),
    TELL('I', ""),
    AND('Z', "I"),
    ASK('Q', "notify x;\0"),
    TELL('C', "NOTIFY\0"),
    AND('A', "\0\0+\x9ax\0\0"),
    AND('Z', "I"),
    ASK('Q', "do $$ begin raise notice 'hello'; end $$;\0"),
    TELL('N', "SNOTICE\0VNOTICE\0C00000\0Mhello\0WPL/pgSQL function inline_code_block line 1 at "
	      "RAISE\0Fpl_exec.c\0L3907\0Rexec_stmt_raise\0\0"),
    TELL('C', "DO\0"),
    AND('Z', "I"),
    ASK('Q', "refresh materialized view mv;\0"),
    TELL('C', "REFRESH MATERIALIZED VIEW\0"),
    AND('Z', "I"),
    ASK('P', "\0select 1 \0\0\0"),
    AND('S', ""),
    TELL('1', ""),
    AND('Z', "I"),
    ASK('D', "S\0"),
    AND('S', ""),
    TELL('t', "\0\0"),
    AND('T', COLUMN),
    AND('Z', "I"),
    ASK('X', "")};

/* The extended protocol by hand. */
static const struct message talk_batches[] = {
    START,
    STARTED,
    ASK('P', "s1\0select 1\0\0\0"),
    AND('D', "Ss1\0"),
    AND('S', ""),
    TELL('1', ""),
    AND('t', "\0\0"),
    AND('T', COLUMN),
    AND('Z', "I"),
    ASK('B', "\0s1\0\0\0\0\0\0\0"),
    AND('E', ALL_ROWS),
    AND('S', ""),
    TELL('2', ""),
    AND('D', ROW(1)),
    AND('C', "SELECT 1\0"),
    AND('Z', "I"),
    ASK('C', "Ss1\0"),
    AND('S', ""),
    TELL('3', ""),
    AND('Z', "I"),
    ASK('S', ""),
    TELL('Z', "I"),
    ASK('P', "\0selectx\0\0\0"),
    AND('S', ""),
    TELL('E', "SERROR\0VERROR\0C42601\0Msyntax error at or near "
	      "\"selectx\"\0P1\0Fscan.l\0L1188\0Rscanner_yyerror\0\0"),
    AND('Z', "I"),
    ASK('P', "\0select 1\0\0\0"),
    AND('B', UNNAMED),
    AND('E', ALL_ROWS),
    AND('P', "\0select 1/0\0\0\0"),
    AND('B', UNNAMED),
    AND('E', ALL_ROWS),
    AND('P', "\0select 2\0\0\0"),
    AND('B', UNNAMED),
    AND('E', ALL_ROWS),
    AND('S', ""),
    TELL('1', ""),
    AND('2', ""),
    AND('D', ROW(1)),
    AND('C', "SELECT 1\0"),
    AND('1', ""),
    AND('E', DIVISION),
    TELL('Z', "I"),
    ASK('Q', "begin\0"),
    TELL('C', "BEGIN\0"),
    AND('Z', "T"),
    ASK('P', "\0select generate_series(1,5)\0\0\0"),
    AND('B', UNNAMED),
    AND('E', "\0\0\0\0\x02"),
    AND('S', ""),
    TELL('1', ""),
    AND('2', ""),
    AND('D', ROW(1)),
    AND('D', ROW(2)),
    AND('s', ""),
    AND('Z', "T"),
    ASK('E', "\0\0\0\0\x02"),
    AND('S', ""),
    TELL('D', "\0\x01\0\0\0\x01"
	      "3"),
    AND('D', ROW(4)),
    AND('s', ""),
    AND('Z', "T"),
    ASK('E', "\0\0\0\0\x02"),
    AND('S', ""),
    TELL('D', "\0\x01\0\0\0\x01"
	      "5"),
    AND('C', "SELECT 1\0"),
    AND('Z', "T"),
    ASK('Q', "commit\0"),
    TELL('C', "COMMIT\0"),
    AND('Z', "I"),
    ASK('P', "\0\0\0\0"),
    AND('B', UNNAMED),
    AND('E', ALL_ROWS),
    AND('S', ""),
    TELL('1', ""),
    AND('2', ""),
    AND('I', ""),
    AND('Z', "I"),
    ASK('P', "s2\0select 1\0\0\0"),
    AND('D', "Ss2\0"),
    AND('H', ""),
    TELL('1', ""),
    AND('t', "\0\0"),
    AND('T', COLUMN),
    ASK('B', "\0s2\0\0\0\0\0\0\0"),
    AND('E', ALL_ROWS),
    AND('S', ""),
    TELL('2', ""),
    AND('D', ROW(1)),
    AND('C', "SELECT 1\0"),
    AND('Z', "I"),
    ASK('D', "Snosuch\0"),
    AND('S', ""),
    TELL('E', NO_STATEMENT),
    TELL('Z', "I"),
    ASK('F', "\0\0\x05\x13\0\0\0\0\0\0\0\0"),
    TELL('E',
	 "SERROR\0VERROR\0C08P01\0Minvalid message format\0Fpqformat.c\0L640\0Rpq_getmsgend\0\0"),
    TELL('Z', "I"),
    ASK('Q', "create table if not exists d(a int primary key deferrable initially deferred)\0"),
    TELL('C', "CREATE TABLE\0"),
    AND('Z', "I"),
    ASK('P', "\0insert into d values (1),(1)\0\0\0"),
    AND('B', UNNAMED),
    AND('E', ALL_ROWS),
    AND('S', ""),
    AND('P', "\0select 1\0\0\0"),
    AND('B', UNNAMED),
    AND('E', ALL_ROWS),
    AND('S', ""),
    TELL('1', ""),
    AND('2', ""),
    AND('C', "INSERT 0 2\0"),
    AND('E',
	"SERROR\0VERROR\0C23505\0Mduplicate key value violates unique constraint \"d_pkey\"\0DKey "
	"(a)=(1) already exists.\0spublic\0td\0nd_pkey\0Fnbtinsert.c\0L664\0R_bt_check_unique\0\0"),
    TELL('Z', "I"),
    TELL('1', ""),
    AND('2', ""),
    AND('D', ROW(1)),
    AND('C', "SELECT 1\0"),
    AND('Z', "I"),
    ASK('P', "\0copy d from stdin\0\0\0"),
    AND('B', UNNAMED),
    AND('E', ALL_ROWS),
    AND('S', ""),
    TELL('1', ""),
    AND('2', ""),
    AND('G', "\0\0\x01\0\0"),
    ASK('d', "5\n"),
    AND('d', "6\n"),
    AND('c', ""),
    AND('S', ""),
    TELL('C', "COPY 2\0"),
    AND('Z', "I"),
    ASK('P', "\0copy d to stdout\0\0\0"),
    AND('B', UNNAMED),
    AND('E', ALL_ROWS),
    AND('S', ""),
    TELL('1', ""),
    AND('2', ""),
    AND('H', "\0\0\x01\0\0"),
    AND('d', "5\n"),
    AND('d', "6\n"),
    AND('c', ""),
    AND('C', "COPY 2\0"),
    AND('Z', "I"),
    ASK('P', "\0copy d from stdin\0\0\0"),
    AND('B', UNNAMED),
    AND('E', ALL_ROWS),
    TELL('1', ""),
    AND('2', ""),
    AND('G', "\0\0\x01\0\0"),
    ASK('d', "7\n"),
    AND('f', "no\0"),
    AND('S', ""),
    TELL('E', "SERROR\0VERROR\0C57014\0MCOPY from stdin failed: no\0WCOPY d, line "
	      "2\0Fcopyfromparse.c\0L315\0RCopyGetData\0\0"),
    TELL('Z', "I"),
    ASK('Q', "select 1\0"),
    AND('Q', "select 2\0"),
    AND('Q', "select 1/0\0"),
    AND('Q', "select 3\0"),
    TELL('T', COLUMN),
    AND('D', ROW(1)),
    AND('C', "SELECT 1\0"),
    AND('Z', "I"),
    TELL('T', COLUMN),
    AND('D', ROW(2)),
    AND('C', "SELECT 1\0"),
    AND('Z', "I"),
    TELL('E', DIVISION),
    TELL('Z', "I"),
    TELL('T', COLUMN),
    AND('D', ROW(3)),
    AND('C', "SELECT 1\0"),
    AND('Z', "I"),
    ASK('X', "")};

static const struct message talk_pgbench_prepared[] = {
    START,
    STARTED,
    ASK('P', "P_0\0SELECT abalance FROM pgbench_accounts WHERE aid = $1;\0\0\0"),
    AND('S', ""),
    TELL('1', ""),
    AND('Z', "I"),
    ASK('B', "\0P_0\0\0\0\0\x01\0\0\0\x05"
	     "49568\0\x01\0\0"),
    AND('D', "P\0"),
    AND('E', ALL_ROWS),
    AND('S', ""),
    TELL('2', ""),
    AND('T', "\0\x01"
	     "abalance\0\0\0@\x16\0\x03\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0"),
    AND('D', ROW(0)),
    AND('C', "SELECT 1\0"),
    AND('Z', "I"),
    ASK('X', "")};

static const struct message talk_more[] = {
    START,
    STARTED,
    ASK('F', "\0\0\x05\x13\0\0\0\0\0\0"),
    TELL('V', "\0\0\0\x1d"
	      "2026-11-24 00:40:06.328157+00"),
    AND('Z', "I"),
    ASK('D', "Snosuch\0"),
    AND('S', ""),
    AND('P', "\0select 1\0\0\0"),
    AND('B', UNNAMED),
    AND('E', ALL_ROWS),
    AND('S', ""),
    TELL('E', NO_STATEMENT),
    AND('Z', "I"),
    AND('1', ""),
    AND('2', ""),
    AND('D', ROW(1)),
    AND('C', "SELECT 1\0"),
    AND('Z', "I"),
};

static const struct message talk_terminated[] = {
    START,
    STARTED,
    ASK('Q', "select pg_terminate_backend(pg_backend_pid())\0"),
    TELL('T', "\0\x01pg_terminate_backend\0\0\0\0\0\0\0\0\0\0\x10\0\x01\xff\xff\xff\xff\0\0"),
    AND('D', "\0\x01\0\0\0\x01t"),
    AND('E', "SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator "
	     "command\0Fpostgres.c\0L3211\0RProcessInterrupts\0\0")};

static const struct message talk_idle[] = {
    START,
    STARTED,
    ASK('Q', "set idle_session_timeout=200\0"),
    TELL('C', "SET\0"),
    AND('Z', "I"),
    TELL('E', "SFATAL\0VFATAL\0C57P05\0Mterminating connection due to idle-session "
	      "timeout\0Fpostgres.c\0L3374\0RProcessInterrupts\0\0")};

static const struct message talk_refused[] = {
    ASK(0, "\0\0\0\x08\x04\xd2\x16/"), TELL(0, "N"),
    ASK(0, "\0\0\0?\0\x03\0\0user\0postgres\0database\0nosuchdb\0application_name\0psql\0\0"),
    TELL('R', "\0\0\0\0"),
    AND('E', "SFATAL\0VFATAL\0C3D000\0Mdatabase \"nosuchdb\" does not "
	     "exist\0Fpostinit.c\0L948\0RInitPostgres\0\0")};

static const struct message talk_replication[] = {
    START,
    STARTED,
    ASK('Q', "SHOW data_directory_mode\0"),
    TELL('T', "\0\x01"
	      "data_directory_mode\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"),
    AND('D', "\0\x01\0\0\0\x04"
	     "0700"),
    AND('C', "SHOW\0"),
    AND('Z', "I"),
    ASK('Q', "START_REPLICATION SLOT \"s1\" LOGICAL 0/0\0"),
    TELL('W', "\0\0\0"),
    ASK('d', "r\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03\x03\xf9\x86Ua\x84\0"),
    TELL('d', "k\0\0\0\0\x02\x1b\x1e\xe0\0\x03\x03\xf9\x86Ua\xbd\0"),
    ASK('d', "r\0\0\0\0\x02\x1b\x1e\xe0\0\0\0\0\x02\x1b\x1e\xe0\0\0\0\0\0\0\0\0\0\x03\x03\xf9\x86Ua"
	     "\xf2\0"),
    ASK('c', ""),
    TELL('c', ""),
    AND('C', "COPY 0\0"),
    AND('C', "START_REPLICATION\0"),
    AND('Z', "I"),
    ASK('X', "")};

#endif
