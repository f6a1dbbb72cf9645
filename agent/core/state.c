#define _GNU_SOURCE
#include "state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "log.h"

#define TOKEN_MIN 16
#define DIR_MODE 0711 /* the keeper reaches its token without CAP_DAC_OVERRIDE */

static const char token_letters[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=";

static int new_token(char token[STATE_TOKEN_SIZE])
{
	unsigned char bytes[(STATE_TOKEN_SIZE - 1) / 2];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) {
		log_error("keeper",
			  "cannot start: no random bytes for the token: %s; set serve.token",
			  strerror(errno));
		return -EIO;
	}
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(token + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

/* --- the token's file */

/* NULL, or why the file's content is not to be used. */
static const char *check_token(const char *text)
{
	size_t n = strlen(text);

	if (n < TOKEN_MIN || n >= STATE_TOKEN_SIZE || strspn(text, token_letters) != n)
		return "does not hold 16 to 64 letters, digits or -._~+/=";
	return NULL;
}

/* NULL, or why there is none; "" if it is just not there yet. */
static const char *read_token(int dir, char ret_token[STATE_TOKEN_SIZE])
{
	int fd = openat(dir, "token", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	char text[2 * STATE_TOKEN_SIZE];
	const char *why = NULL;
	struct stat st;
	ssize_t n = 0;

	if (fd < 0)
		return errno == ENOENT ? "" : strerror(errno);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_uid != geteuid())
		why = "is not a file of the keeper's own";
	else if ((n = read(fd, text, sizeof(text) - 1)) < 0)
		why = strerror(errno);
	else if ((st.st_mode & 0077) && !fchmod(fd, 0600))
		log_warn("keeper",
			 "the token's file could be read by others; it cannot any more, but a "
			 "new token is safer: remove the file");
	close(fd);
	if (why)
		return why;
	text[n] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	why = check_token(text);
	if (!why)
		snprintf(ret_token, STATE_TOKEN_SIZE, "%.*s", STATE_TOKEN_SIZE - 1, text);
	explicit_bzero(text, sizeof(text));
	return why;
}

/* Whole or not at all. */
static int write_token(int dir, const char *token)
{
	int fd, err = 0;

	if (unlinkat(dir, "token.new", 0) && errno != ENOENT)
		return -errno;
	fd = openat(dir, "token.new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (dprintf(fd, "%s\n", token) < 0 || fsync(fd))
		err = -errno;
	close(fd);
	if (!err && renameat(dir, "token.new", dir, "token"))
		err = -errno;
	if (err)
		unlinkat(dir, "token.new", 0);
	return err;
}

static int file_token(const char *path, int dir, char ret_token[STATE_TOKEN_SIZE])
{
	const char *why = read_token(dir, ret_token);
	int err;

	if (!why)
		return 0;
	if (*why)
		log_warn("keeper", "%s/token %s: a new token is made", path, why);
	err = new_token(ret_token);
	if (err)
		return err;
	err = write_token(dir, ret_token);
	if (err)
		log_warn("keeper",
			 "cannot write %s/token: %s; POST needs a token: set serve.token, or "
			 "give a writable directory with --state-dir",
			 path, strerror(-err));
	return 0;
}

/* --- the directory */

/* Whether it is empty or was the role's before. */
static bool is_free(int dir)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	bool foreign = false, token = false;
	struct dirent *e;

	if (!d) {
		if (copy >= 0)
			close(copy);
		return false;
	}
	while ((e = readdir(d))) {
		if (!strcmp(e->d_name, "token"))
			token = true;
		else if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
			 strcmp(e->d_name, "lost+found") != 0)
			foreign = true;
	}
	closedir(d);
	return token || !foreign;
}

static void hand_over(const char *path, int dir, uid_t uid, gid_t gid)
{
	struct stat st;

	if (fstat(dir, &st) || st.st_uid == uid || geteuid() != 0)
		return;
	if (!is_free(dir))
		log_warn(
		    "keeper",
		    "agent.state_dir: %s holds files of others and stays with its owner, so only "
		    "the token is kept over a restart; give an empty or new directory",
		    path);
	else if (fchown(dir, uid, gid) || fchmod(dir, DIR_MODE))
		log_warn("keeper",
			 "agent.state_dir: cannot give %s to uid %u: %s; only the token is kept "
			 "over a restart",
			 path, uid, strerror(errno));
}

int state_prepare(const struct config *config, uid_t uid, gid_t gid,
		  char ret_token[STATE_TOKEN_SIZE])
{
	const char *path = config->agent.state_dir, *token = config->serve.token;
	int dir = -1, err;

	if (!mkdir(path, DIR_MODE) || errno == EEXIST)
		dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		log_warn(
		    "keeper",
		    "agent.state_dir: cannot make or open %s: %s; nothing is kept over a restart, "
		    "and POST needs serve.token; give a writable directory with --state-dir",
		    path, strerror(errno));
	else
		hand_over(path, dir, uid, gid);
	if (token && token[0]) {
		snprintf(ret_token, STATE_TOKEN_SIZE, "%s", token);
		err = 0;
	} else {
		err = dir < 0 ? new_token(ret_token) : file_token(path, dir, ret_token);
	}
	if (dir >= 0)
		close(dir);
	return err;
}
