#define _GNU_SOURCE
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "log.h"

static void new_token(char token[STATE_TOKEN_SIZE])
{
	unsigned char bytes[(STATE_TOKEN_SIZE - 1) / 2] = {};

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		log_error("keeper", "getrandom: %s", strerror(errno));
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(token + 2 * i, 3, "%02x", bytes[i]);
}

static bool read_token(const char *path, char token[STATE_TOKEN_SIZE])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, token, STATE_TOKEN_SIZE - 1);
	close(fd);
	token[n > 0 ? n : 0] = '\0';
	token[strcspn(token, "\r\n")] = '\0';
	return strlen(token) >= 16;
}

static int write_token(const char *path, const char *token)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600), err = 0;

	if (fd < 0)
		return -errno;
	if (dprintf(fd, "%s\n", token) < 0 || fsync(fd))
		err = -errno;
	close(fd);
	return err;
}

void state_prepare(const struct config *config, uid_t uid, gid_t gid, char ret_token[STATE_TOKEN_SIZE])
{
	const char *dir = config->agent.state_dir;
	char path[4096];
	int err;

	if (mkdir(dir, 0711) && errno != EEXIST)
		log_warn("keeper", "agent.state_dir: cannot make %s: %s; nothing is kept over a restart", dir,
			 strerror(errno));
	else if (geteuid() == 0 && chown(dir, uid, gid))
		log_warn("keeper", "agent.state_dir: cannot give %s to uid %u: %s", dir, uid,
			 strerror(errno));
	if (config->serve.token && config->serve.token[0]) {
		snprintf(ret_token, STATE_TOKEN_SIZE, "%s", config->serve.token);
		return;
	}
	snprintf(path, sizeof(path), "%s/token", dir);
	if (read_token(path, ret_token))
		return;
	new_token(ret_token);
	err = write_token(path, ret_token);
	if (err)
		log_warn("keeper", "cannot write %s: %s; POST needs a token from serve.token", path,
			 strerror(-err));
}
