/* state.h - the state directory: made at the first start, with the bearer token in STATE_DIR/token.
 *
 * The directory belongs to the role's user, the token file (mode 0600) to root: the agent gets the
 * token through memory. So the role may put anything there, and what root reads or writes in it is
 * opened without following a link or waiting, and believed only if root owns it. A directory that
 * already holds something else (--state-dir /etc) stays with its owner. A directory that cannot be
 * written costs only what it would have kept; the log says so, in one line.
 */
#ifndef TRIMTAB_STATE_H
#define TRIMTAB_STATE_H

#include <sys/types.h>
#include "config.h"

#define STATE_TOKEN_SIZE 65 /* 64 hex digits and a NUL */

/* Writes the token: the configured one, the file's, or a new one. 0, or -errno if there is no
 * source of random bytes. */
int state_prepare(const struct config *config, uid_t uid, gid_t gid,
		  char ret_token[STATE_TOKEN_SIZE]);

#endif
