/* client.c - see client.h for the contract. */
#define _GNU_SOURCE
#include <cjson/cJSON.h>
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "client/client.h"
#include "core/config.h"
#include "core/state.h"

#define ROOM_FIRST 4096
#define STATUS_OK 200
#define STATUS_UNAUTHORIZED 401
#define STATUS_NOT_FOUND 404

struct answer {
	char *data;
	size_t bytes, room;
	const struct client *client;
};

void client_plain(char *text)
{
	char *to = text;

	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		if ((*p & 0xc0) != 0x80)
			*to++ = *p >= ' ' && *p < 0x7f ? (char)*p : '?';
	*to = '\0';
}

__attribute__((format(printf, 4, 5))) static int fail(int code, char *err, size_t err_size,
						      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(err, err_size, format, args);
	va_end(args);
	client_plain(err);
	return code;
}

/* --- where it is, and how to get in */

static char *url_from_option(const char *text)
{
	size_t n = strlen(text);
	char *url;

	while (n && text[n - 1] == '/')
		n--;
	return asprintf(&url, "%s%.*s", strstr(text, "://") ? "" : "http://", (int)n, text) < 0
		   ? NULL
		   : url;
}

/* An address that stands for all of them is reached by loopback. */
static char *url_from_listen(const char *listen, bool tls)
{
	static const char *const all[][2] = {{"0.0.0.0:", "127.0.0.1:"}, {"[::]:", "[::1]:"}};
	const char *host = "";
	char *url;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strncmp(listen, all[i][0], strlen(all[i][0])) == 0) {
			listen += strlen(all[i][0]);
			host = all[i][1];
		}
	return asprintf(&url, "http%s://%s%s", tls ? "s" : "", host, listen) < 0 ? NULL : url;
}

static bool is_local(const char *url)
{
	static const char *const hosts[] = {"127.", "localhost:", "localhost/", "[::1]"};
	const char *host = strstr(url, "://") + 3;

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		if (strncmp(host, hosts[i], strlen(hosts[i])) == 0)
			return !strchr(host, '@'); /* "127.0.0.1:x@elsewhere" */
	return strcmp(host, "localhost") == 0;
}

/* NULL if it cannot be read or holds no token: then nothing is sent. */
static char *token_from_file(const char *state_dir)
{
	char path[4096], text[STATE_TOKEN_SIZE + 1];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/token", state_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return NULL;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return NULL;
	text[n] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	for (const char *p = text; *p; p++)
		if (!isgraph((unsigned char)*p))
			return NULL;
	return text[0] ? strdup(text) : NULL;
}

static int find_url(const struct client_options *o, const struct config *config, struct client *c,
		    char *err, size_t err_size)
{
	const char *listen = config->serve.listen;
	size_t n = strlen(listen);

	c->url_given = o->url != NULL;
	if (!o->url && n > 2 && strcmp(listen + n - 2, ":0") == 0)
		return fail(-EINVAL, err, err_size,
			    "serve.listen is %s, so its log alone has the port: try --url", listen);
	c->url = o->url ? url_from_option(o->url)
			: url_from_listen(listen, config->serve.tls_cert[0] != '\0');
	return c->url ? 0 : fail(-ENOMEM, err, err_size, "no memory");
}

int client_find(const struct client_options *o, char *const *env, struct client *ret, char *err,
		size_t err_size)
{
	struct client c = {.events = -1};
	struct config *config;
	int code = config_load(o->config, env, &config, err, err_size);

	if (code)
		return code;
	if (o->state_dir)
		code = config_set(config, "agent", "state_dir", o->state_dir, err, err_size);
	if (!code)
		code = find_url(o, config, &c, err, err_size);
	if (!code && config->serve.token[0])
		c.token = strdup(config->serve.token);
	else if (!code && (!o->url || is_local(c.url)))
		c.token = token_from_file(config->agent.state_dir);
	if (!code && config->serve.tls_cert[0])
		c.authority = strdup(config->serve.tls_cert);
	config_free(config);
	if (code)
		client_free(&c);
	else
		*ret = c;
	return code;
}

void client_free(struct client *c)
{
	free(c->url);
	free(c->token);
	free(c->authority);
	*c = (struct client){.events = -1};
}

/* --- one request */

static bool make_room(struct answer *a, size_t n)
{
	size_t room = a->room ? a->room : ROOM_FIRST;
	char *grown;

	while (room < a->bytes + n)
		room *= 2;
	if (room == a->room)
		return true;
	grown = realloc(a->data, room);
	if (!grown)
		return false;
	a->data = grown;
	a->room = room;
	return true;
}

static size_t take(char *data, size_t size, size_t n, void *arg)
{
	struct answer *a = arg;

	if (n > CLIENT_ANSWER_MAX - a->bytes || !make_room(a, n))
		return 0;
	memcpy(a->data + a->bytes, data, n);
	a->bytes += n;
	return n;
}

/* libcurl asks about once a second while nothing comes, and more often else. */
static int give_up(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct answer *answer = arg;
	struct pollfd p = {.fd = answer->client->events, .events = POLLIN};

	return p.fd >= 0 && poll(&p, 1, 0) > 0;
}

static struct curl_slist *headers_of(const struct client *c)
{
	struct curl_slist *list = curl_slist_append(NULL, "Accept: application/json");
	char line[64 + STATE_TOKEN_SIZE];

	if (!c->token)
		return list;
	snprintf(line, sizeof(line), "Authorization: Bearer %s", c->token);
	return curl_slist_append(list, line);
}

static void set_up(CURL *curl, const struct client *c, const char *url, struct answer *answer,
		   struct curl_slist *headers, char *reason)
{
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "trimtab/" TRIMTAB_VERSION);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CLIENT_CONNECT_MS);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)CLIENT_TIMEOUT_MS);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, give_up);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, answer);
	if (c->authority)
		curl_easy_setopt(curl, CURLOPT_CAINFO, c->authority);
	if (c->authority && !c->url_given) {
		/* an address of the configuration is seldom a name in the certificate: whoever has
		 * just this one is trusted, and nobody else */
		curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
}

int client_foreign(const struct client *c, const char *what, char *err, size_t err_size)
{
	return fail(-EPROTO, err, err_size, "%s answers, but it is not trimtab: %s%s", c->url, what,
		    c->url_given ? "" : "; try --url");
}

static int unreachable(const struct client *c, int code, const char *why, char *err,
		       size_t err_size)
{
	return fail(code, err, err_size, "cannot reach %s: %c%s; is trimtab running%s", c->url,
		    tolower((unsigned char)why[0]), why + 1,
		    c->url_given ? " there?" : "? try --url");
}

/* It was no exchange of HTTP. */
static int explain_failure(const struct client *c, CURL *curl, CURLcode code, const char *reason,
			   char *err, size_t err_size)
{
	long number = 0;

	if (!reason[0])
		reason = curl_easy_strerror(code);
	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &number);
	switch (code) {
	case CURLE_ABORTED_BY_CALLBACK:
		return fail(-ECANCELED, err, err_size, "given up");
	case CURLE_UNSUPPORTED_PROTOCOL:
		if (strncmp(c->url, "http", 4) == 0) /* an answer that is no HTTP/1 */
			return client_foreign(c, reason, err, err_size);
		/* fall through */
	case CURLE_URL_MALFORMAT:
		return fail(-EINVAL, err, err_size,
			    "--url: \"%s\" is none; give one such as http://127.0.0.1:8000",
			    c->url);
	case CURLE_COULDNT_CONNECT:
		return unreachable(c, -ECONNREFUSED, number ? strerror((int)number) : reason, err,
				   err_size);
	case CURLE_COULDNT_RESOLVE_HOST:
		return unreachable(c, -EHOSTUNREACH, "there is no such host", err, err_size);
	case CURLE_OPERATION_TIMEDOUT:
		return unreachable(c, -ETIMEDOUT, "no answer in time", err, err_size);
	case CURLE_OUT_OF_MEMORY:
		return fail(-ENOMEM, err, err_size, "no memory");
	case CURLE_WRITE_ERROR:
		return fail(-EFBIG, err, err_size, "%s: an answer of more than %d MiB", c->url,
			    CLIENT_ANSWER_MAX >> 20);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
		return fail(-EPERM, err, err_size, "%s: its certificate is not trusted: %s", c->url,
			    reason);
	default:
		return client_foreign(c, reason, err, err_size);
	}
}

static int explain_unauthorized(const struct client *c, char *err, size_t err_size)
{
	if (c->token)
		return fail(-EACCES, err, err_size,
			    "%s refuses this node's token: give its own in TRIMTAB_SERVE_TOKEN",
			    c->url);
	return fail(-EACCES, err, err_size,
		    "%s asks for its token: give it in TRIMTAB_SERVE_TOKEN, or be a user that can "
		    "read STATE_DIR/token",
		    c->url);
}

/* It was one: 0 and the JSON, which is the answer's. */
static int read_answer(const struct client *c, long status, const struct answer *a, cJSON **ret,
		       char *err, size_t err_size)
{
	cJSON *json = a->data ? cJSON_ParseWithLength(a->data, a->bytes) : NULL;
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(json, "error");
	const char *message =
	    cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(error, "message"));
	char what[64];
	int code;

	if (status == STATUS_OK && (cJSON_IsObject(json) || cJSON_IsArray(json))) {
		*ret = json;
		return 0;
	}
	snprintf(what, sizeof(what), status == STATUS_OK ? "no JSON" : "status %ld", status);
	if (status == STATUS_UNAUTHORIZED && message)
		code = explain_unauthorized(c, err, err_size);
	else if (message)
		code = fail(status == STATUS_NOT_FOUND ? -ENOENT : -EIO, err, err_size, "%s: %s",
			    c->url, message);
	else
		code = client_foreign(c, what, err, err_size);
	cJSON_Delete(json);
	return code;
}

int client_get(const struct client *c, const char *path, cJSON **ret, char *err, size_t err_size)
{
	CURL *curl = curl_easy_init();
	struct curl_slist *headers = headers_of(c);
	struct answer answer = {.client = c};
	char reason[CURL_ERROR_SIZE] = "";
	char *url = NULL;
	long status = 0;
	CURLcode code;
	int result;

	if (!curl || !headers || asprintf(&url, "%s%s", c->url, path) < 0) {
		result = fail(-ENOMEM, err, err_size, "no memory");
		goto out;
	}
	set_up(curl, c, url, &answer, headers, reason);
	code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (code)
		result = explain_failure(c, curl, code, reason, err, err_size);
	else
		result = read_answer(c, status, &answer, ret, err, err_size);
out:
	free(answer.data);
	free(url);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	return result;
}
