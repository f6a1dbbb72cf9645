/* request_tls_symbols.h - where in a file of OpenSSL the programs of bpf/request_tls.bpf.c go.
 *
 * SSL_read() and SSL_write() have two forms each, which call one function without a name: where
 * both are seen to, that one is taken, by which half of the breakpoints are saved. It mostly begins
 * with an instruction that the kernel needs not step through, which saves more than the half of the
 * rest.
 *
 * The file may be anybody's: all of it is read with pread(), nothing in it is trusted. Bounds:
 * 64 MB of names, 64 MB of symbols; 0.4 MB of memory. Cost: 0.2 ms for libssl, 70 ms for Node.
 */
#ifndef TRIMTAB_REQUEST_TLS_SYMBOLS_H
#define TRIMTAB_REQUEST_TLS_SYMBOLS_H

#include <stdint.h>

/* What can be attached to, each a program of its own: see tls_places. */
enum tls_place {
	TLS_READ,
	TLS_READ_EX,
	TLS_WRITE,
	TLS_WRITE_EX,
	TLS_WRITE_EX2,
	TLS_RETURN,
	TLS_HANDSHAKE,
	TLS_FREE,
	TLS_PLACES
};

#define TLS_OFFSETS 5

struct tls_symbols {
	struct {
		uint64_t offset[TLS_OFFSETS]; /* in the file, of functions */
		unsigned n;
	} place[TLS_PLACES];
};

/* 0; -ENOENT: it has no SSL_read() and SSL_write(); -EFBIG; -ENOEXEC; -EIO. */
int request_tls_symbols(int fd, struct tls_symbols *ret);

#endif
