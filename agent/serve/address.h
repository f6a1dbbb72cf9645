/* address.h - listen addresses and the Host headers that may name them. Pure.
 *
 * ADDR:PORT with an IPv4 address, or [IPv6]:PORT; [::] is every address of both families. Port 0
 * lets the kernel choose.
 */
#ifndef TRIMTAB_ADDRESS_H
#define TRIMTAB_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#define ADDRESS_TEXT_MAX 64

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
	socklen_t bytes;
};

int address_parse(const char *text, struct address *ret); /* 0 or -EINVAL */
void address_print(const struct address *a, char ret_text[ADDRESS_TEXT_MAX]);
bool address_is_loopback(const struct address *a);

/* Whether a Host header may name a server that listens on this loopback address: localhost, a
 * loopback literal, with any port (it may be forwarded). A page from elsewhere whose name was
 * re-bound to 127.0.0.1 sends its own name, and is refused. */
bool address_host_is_local(const char *host);

#endif
