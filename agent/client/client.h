/* client.h - how a command finds the trimtab that runs on this node, and asks it.
 *
 * Where: --url, or serve.listen of the configuration. The token is TRIMTAB_SERVE_TOKEN or
 * serve.token, or what STATE_DIR/token holds if that can be read; the file's is sent to no other
 * node. With serve.tls_cert, that certificate is trusted. No proxy and no redirect is followed.
 * Bounds: an answer has at most CLIENT_ANSWER_MAX bytes and comes within CLIENT_TIMEOUT_MS. Blocks;
 * one connection a request.
 */
#ifndef TRIMTAB_CLIENT_H
#define TRIMTAB_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#define CLIENT_ANSWER_MAX (16 << 20)
#define CLIENT_CONNECT_MS 2000
#define CLIENT_TIMEOUT_MS 5000
#define CLIENT_ERROR_MAX 512

struct cJSON;

/* As given on the command line; NULL: not given. */
struct client_options {
	const char *config, *state_dir, *url;
};

/* Its strings are its own. */
struct client {
	char *url;	 /* "http://127.0.0.1:8000", no slash at its end */
	bool url_given;	 /* by --url */
	char *token;	 /* NULL: none is known */
	char *authority; /* file of certificates to trust beside the system's; NULL: none */
	int events;	 /* when this descriptor can be read, a request is given up; -1: none */
};

/* 0, or -errno and one line in err, here and below. env: `environ` style. */
int client_find(const struct client_options *o, char *const *env, struct client *ret, char *err,
		size_t err_size);
void client_free(struct client *c);

/* The JSON that a GET of this path is answered with; free with cJSON_Delete(). -EINVAL: the URL is
 * none; -EACCES: the token is missing or wrong; -EPROTO: not trimtab; -ECANCELED: see events; other
 * errors: not reached, or refused with the reason in err. */
int client_get(const struct client *c, const char *path, struct cJSON **ret, char *err,
	       size_t err_size);

/* What client_get() says when an answer lacks what trimtab's would have: -EPROTO. */
int client_foreign(const struct client *c, const char *what, char *err, size_t err_size);

/* Makes text from elsewhere fit for a terminal: all but printable ASCII becomes '?', a character of
 * UTF-8 one of them. */
void client_plain(char *text);

#endif
