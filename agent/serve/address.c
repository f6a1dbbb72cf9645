/* address.c - see address.h for the contract. */
#define _GNU_SOURCE /* strchrnul */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "serve/address.h"

#define HOST_MAX 64

/* Splits HOST[:PORT] with the brackets of an IPv6 literal taken off. ret_port: NULL if none is
 * given. */
static int split(const char *text, char ret_host[HOST_MAX], bool *ret_bracketed,
		 const char **ret_port)
{
	const char *from = text, *end, *port;

	if (*text == '[') {
		from = text + 1;
		end = strchr(from, ']');
		if (!end)
			return -EINVAL;
		port = end + 1;
	} else {
		end = port = strchrnul(text, ':');
	}
	if (*port && *port != ':')
		return -EINVAL;
	if (end - from >= HOST_MAX)
		return -EINVAL;
	memcpy(ret_host, from, (size_t)(end - from));
	ret_host[end - from] = '\0';
	*ret_bracketed = from != text;
	*ret_port = *port ? port + 1 : NULL;
	return 0;
}

static int parse_port(const char *text, in_port_t *ret)
{
	unsigned port = 0;
	size_t n = strspn(text, "0123456789");

	if (!n || n > 5 || text[n])
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		port = port * 10 + (unsigned)(text[i] - '0');
	if (port > 65535)
		return -EINVAL;
	*ret = htons((in_port_t)port);
	return 0;
}

int address_parse(const char *text, struct address *ret)
{
	struct address a = {0};
	char host[HOST_MAX];
	const char *port_text;
	bool bracketed;
	in_port_t port;

	if (split(text, host, &bracketed, &port_text) || !port_text)
		return -EINVAL;
	if (parse_port(port_text, &port))
		return -EINVAL;
	if (bracketed) {
		a.v6.sin6_family = AF_INET6;
		a.v6.sin6_port = port;
		a.bytes = sizeof(a.v6);
		if (inet_pton(AF_INET6, host, &a.v6.sin6_addr) != 1)
			return -EINVAL;
	} else {
		a.v4.sin_family = AF_INET;
		a.v4.sin_port = port;
		a.bytes = sizeof(a.v4);
		if (inet_pton(AF_INET, host, &a.v4.sin_addr) != 1)
			return -EINVAL;
	}
	*ret = a;
	return 0;
}

void address_print(const struct address *a, char ret_text[ADDRESS_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN] = "";

	if (a->any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &a->v6.sin6_addr, host, sizeof(host));
		snprintf(ret_text, ADDRESS_TEXT_MAX, "[%s]:%u", host, ntohs(a->v6.sin6_port));
	} else {
		inet_ntop(AF_INET, &a->v4.sin_addr, host, sizeof(host));
		snprintf(ret_text, ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(a->v4.sin_port));
	}
}

static bool v4_is_loopback(const struct in_addr *a)
{
	return ntohl(a->s_addr) >> 24 == 127;
}

static bool v6_is_loopback(const struct in6_addr *a)
{
	struct in_addr mapped;

	memcpy(&mapped, a->s6_addr + 12, sizeof(mapped));
	return IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && v4_is_loopback(&mapped));
}

bool address_is_loopback(const struct address *a)
{
	return a->any.sa_family == AF_INET6 ? v6_is_loopback(&a->v6.sin6_addr)
					    : v4_is_loopback(&a->v4.sin_addr);
}

bool address_host_is_local(const char *host)
{
	char name[HOST_MAX];
	struct in6_addr v6;
	struct in_addr v4;
	const char *port_text;
	bool bracketed;
	in_port_t port;

	if (split(host, name, &bracketed, &port_text))
		return false;
	if (port_text && parse_port(port_text, &port))
		return false;
	if (bracketed)
		return inet_pton(AF_INET6, name, &v6) == 1 && v6_is_loopback(&v6);
	if (strcasecmp(name, "localhost") == 0)
		return true;
	return inet_pton(AF_INET, name, &v4) == 1 && v4_is_loopback(&v4);
}
