/* request_tls_symbols_test.c - where in a file of OpenSSL the programs go: this executable has
 * functions of those names, made as compilers make them, and so have its changed copies. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "core/request_tls_symbols.h"

#define FUNCTION(name, body)                                                                       \
	asm(".pushsection .text\n.balign 16\n.globl " name "\n.type " name ", @function\n" name    \
	    ":\n" body "\n.size " name ", . - " name "\n.popsection")

FUNCTION("test_reads", "push %rbx\npop %rbx\nret");
FUNCTION("test_writes", "push %rbx\npop %rbx\nret");
FUNCTION("SSL_read", "sub $0x18, %rsp\nxor %eax, %eax\ntest %edx, %edx\ncall test_reads\n"
		     "add $0x18, %rsp\nret\n.skip 128, 0x90");
FUNCTION("SSL_read_ex",
	 "endbr64\nsub $8, %rsp\ncall test_reads\nadd $8, %rsp\nret\n.skip 128, 0x90");
FUNCTION("SSL_write", "sub $0x18, %rsp\ncall test_writes\nadd $0x18, %rsp\nret\n.skip 128, 0x90");
FUNCTION("SSL_write_ex", "mov %rcx, %r8\nxor %ecx, %ecx\njmp SSL_write_ex2\n.skip 128, 0x90");
FUNCTION("SSL_write_ex2", "push %r12\npush %rbx\nsub $8, %rsp\ncall test_writes\nadd $8, %rsp\n"
			  "pop %rbx\npop %r12\nret\n.skip 128, 0x90");
FUNCTION("SSL_do_handshake", "ret");
FUNCTION("SSL_free", "ret");
FUNCTION("SSL_clear", "ret");

extern char test_reads[], test_writes[], SSL_read[], SSL_read_ex[], SSL_write[], SSL_write_ex[],
    SSL_write_ex2[], SSL_do_handshake[], SSL_free[], SSL_clear[];

static char *image; /* of this file */
static size_t image_bytes;

struct place {
	uintptr_t address;
	uint64_t offset;
};

static int find_offset(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct place *p = arg;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *s = &info->dlpi_phdr[i];

		if (s->p_type == PT_LOAD && p->address - info->dlpi_addr - s->p_vaddr < s->p_filesz)
			p->offset = p->address - info->dlpi_addr - s->p_vaddr + s->p_offset;
	}
	return 1; /* the executable comes first */
}

static uint64_t offset_of(const char *function)
{
	struct place p = {.address = (uintptr_t)function};

	dl_iterate_phdr(find_offset, &p);
	assert_true(p.offset);
	return p.offset;
}

static int load_image(void **state)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat st;

	assert_return_code(fd, errno);
	assert_return_code(fstat(fd, &st), errno);
	image_bytes = st.st_size;
	image = malloc(image_bytes);
	assert_int_equal(read(fd, image, image_bytes), image_bytes);
	close(fd);
	return 0;
}

static int free_image(void **state)
{
	free(image);
	return 0;
}

static int symbols_of(const char *bytes, size_t n, struct tls_symbols *ret)
{
	int fd = memfd_create("image", MFD_CLOEXEC), err;

	assert_return_code(fd, errno);
	assert_int_equal(write(fd, bytes, n), n);
	err = request_tls_symbols(fd, ret);
	close(fd);
	return err;
}

static char *copy_image(void)
{
	char *copy = malloc(image_bytes);

	assert_non_null(copy);
	memcpy(copy, image, image_bytes);
	return copy;
}

static void assert_place(const struct tls_symbols *s, enum tls_place place, const char *one,
			 const char *two)
{
	unsigned n = !!one + !!two;

	assert_int_equal(s->place[place].n, n);
	if (one)
		assert_int_equal(s->place[place].offset[0], offset_of(one));
	if (two)
		assert_int_equal(s->place[place].offset[1], offset_of(two));
}

/* Other names with the same ending are others. */
static void rename_all(char *copy, const char *from, const char *to)
{
	char *at = copy, *end = copy + image_bytes;

	while ((at = memmem(at, end - at, from, strlen(from) + 1)))
		memcpy(at, to, strlen(to));
}

/* --- */

static void test_what_both_forms_call(void **state)
{
	struct tls_symbols s;

	assert_int_equal(symbols_of(image, image_bytes, &s), 0);
	assert_place(&s, TLS_READ, NULL, NULL);
	assert_place(&s, TLS_READ_EX, test_reads, NULL);
	assert_place(&s, TLS_WRITE, NULL, NULL);
	assert_place(&s, TLS_WRITE_EX, NULL, NULL);
	assert_place(&s, TLS_WRITE_EX2, test_writes, NULL);
	assert_place(&s, TLS_RETURN, test_reads, test_writes);
	assert_place(&s, TLS_HANDSHAKE, SSL_do_handshake, NULL);
	assert_place(&s, TLS_FREE, SSL_free, SSL_clear);
}

/* Before OpenSSL 3.3: and SSL_write_ex() here passes other arguments on than its own. */
static void test_without_the_third_form(void **state)
{
	char *copy = copy_image();
	struct tls_symbols s;

	rename_all(copy, "SSL_write_ex2", "SSL_Write_ex2");
	assert_int_equal(symbols_of(copy, image_bytes, &s), 0);
	assert_place(&s, TLS_READ_EX, test_reads, NULL);
	assert_place(&s, TLS_WRITE, SSL_write, NULL);
	assert_place(&s, TLS_WRITE_EX, SSL_write_ex, NULL);
	assert_place(&s, TLS_WRITE_EX2, NULL, NULL);
	free(copy);
}

/* The call is there in one of them only: as if the compiler had put it in line. */
static void test_nothing_in_common(void **state)
{
	char *copy = copy_image();
	struct tls_symbols s;

	memset(copy + offset_of(SSL_read), 0x90, 64);
	assert_int_equal(symbols_of(copy, image_bytes, &s), 0);
	assert_place(&s, TLS_READ, SSL_read, NULL);
	assert_place(&s, TLS_READ_EX, SSL_read_ex, NULL);
	assert_int_equal(s.place[TLS_RETURN].n, 3);
	free(copy);
}

/* An instruction before the call that may change an argument. */
static void test_other_arguments(void **state)
{
	static const char moves[] = {0x48, 0x89, (char)0xfe, (char)0x90}; /* mov %rdi, %rsi */
	char *copy = copy_image();
	struct tls_symbols s;

	memcpy(copy + offset_of(SSL_read_ex), moves, sizeof(moves)); /* over endbr64 */
	assert_int_equal(symbols_of(copy, image_bytes, &s), 0);
	assert_place(&s, TLS_READ, SSL_read, NULL);
	assert_place(&s, TLS_READ_EX, SSL_read_ex, NULL);
	free(copy);
}

static void test_the_old_forms_alone(void **state)
{
	char *copy = copy_image();
	struct tls_symbols s;

	rename_all(copy, "SSL_read_ex", "SSL_Read_ex");
	rename_all(copy, "SSL_write_ex", "SSL_Write_ex");
	rename_all(copy, "SSL_write_ex2", "SSL_Write_ex2");
	assert_int_equal(symbols_of(copy, image_bytes, &s), 0);
	assert_place(&s, TLS_READ, SSL_read, NULL);
	assert_place(&s, TLS_READ_EX, NULL, NULL);
	assert_place(&s, TLS_WRITE, SSL_write, NULL);
	assert_place(&s, TLS_WRITE_EX, NULL, NULL);
	assert_place(&s, TLS_RETURN, SSL_read, SSL_write);
	free(copy);
}

static void test_no_openssl(void **state)
{
	static const char text[] = "#!/bin/sh\nSSL_read\n";
	char *copy = copy_image();
	struct tls_symbols s;

	rename_all(copy, "SSL_read", "SSL_Read");
	assert_int_equal(symbols_of(copy, image_bytes, &s), -ENOENT);
	assert_int_equal(symbols_of(text, sizeof(text), &s), -ENOEXEC);
	assert_int_equal(symbols_of("", 0, &s), -ENOEXEC);
	free(copy);
}

/* Whatever a file says, nothing is read beyond what there is. */
static void test_cut_short(void **state)
{
	struct tls_symbols s;

	for (size_t n = 1; n < image_bytes; n = n * 5 / 4 + 1)
		assert_in_range(-symbols_of(image, n, &s), 1, 4095);
}

static void test_headers_that_lie(void **state)
{
	const ElfW(Ehdr) *h = (const void *)image;
	const size_t table = h->e_shnum * sizeof(ElfW(Shdr));
	char *copy = copy_image();
	uint32_t random = 1;
	struct tls_symbols s;
	int found = 0;

	for (int i = 0; i < 400; i++) {
		size_t at = random % (table + sizeof(*h));
		char *byte = copy + (at < sizeof(*h) ? at : h->e_shoff + at - sizeof(*h));
		char was = *byte;

		random = random * 1664525 + 1013904223;
		*byte = random >> 24;
		if (!symbols_of(copy, image_bytes, &s)) {
			found++;
			for (int place = 0; place < TLS_PLACES; place++)
				assert_in_range(s.place[place].n, 0, TLS_OFFSETS);
		}
		*byte = was;
	}
	assert_in_range(found, 1, 399); /* some lies matter */
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_both_forms_call),
	    cmocka_unit_test(test_without_the_third_form),
	    cmocka_unit_test(test_nothing_in_common),
	    cmocka_unit_test(test_other_arguments),
	    cmocka_unit_test(test_the_old_forms_alone),
	    cmocka_unit_test(test_no_openssl),
	    cmocka_unit_test(test_cut_short),
	    cmocka_unit_test(test_headers_that_lie),
	};

	return cmocka_run_group_tests(tests, load_image, free_image);
}
