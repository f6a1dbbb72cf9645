/* state.h - the state directory: made at the first start, with the bearer token in STATE_DIR/token.
 *
 * The directory belongs to the role's user, the token file (mode 0600) to root: the agent gets the token
 * through memory. A directory that cannot be written costs only what it would have kept.
 */
#ifndef TRIMTAB_STATE_H
#define TRIMTAB_STATE_H

#include <sys/types.h>
#include "config.h"

#define STATE_TOKEN_SIZE 65 /* 64 hex digits and a NUL */

/* Writes the token: the configured one, the file's, or a new one. */
void state_prepare(const struct config *config, uid_t uid, gid_t gid, char ret_token[STATE_TOKEN_SIZE]);

#endif
