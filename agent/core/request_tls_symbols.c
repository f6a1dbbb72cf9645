#define _GNU_SOURCE
#include "request_tls_symbols.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTIONS_MAX 4096
#define SEGMENTS_MAX 256
#define TABLE_MAX (64U << 20) /* bytes of names, of symbols */
#define CHUNK (64U << 10)
#define NAME_BYTES 24 /* of the longest name, with its NUL */
#define CANDIDATES 8  /* places of the table of names where a name may begin */
#define CODE_BYTES 128

enum function { READ, READ_EX, WRITE, WRITE_EX, WRITE_EX2, HANDSHAKE, FREE, CLEAR, FUNCTIONS };

static const char names[FUNCTIONS][NAME_BYTES] = {
    [READ] = "SSL_read",	 [READ_EX] = "SSL_read_ex",	[WRITE] = "SSL_write",
    [WRITE_EX] = "SSL_write_ex", [WRITE_EX2] = "SSL_write_ex2", [HANDSHAKE] = "SSL_do_handshake",
    [FREE] = "SSL_free",	 [CLEAR] = "SSL_clear",
};

struct elf {
	int fd;
	Elf64_Ehdr header;
	Elf64_Phdr segment[SEGMENTS_MAX];
	Elf64_Shdr section[SECTIONS_MAX];
	uint32_t name[FUNCTIONS][CANDIDATES], names_n[FUNCTIONS];
	uint64_t address[FUNCTIONS], offset[FUNCTIONS]; /* 0: not there */
	char chunk[CHUNK];
};

static bool read_at(const struct elf *e, void *to, size_t bytes, uint64_t at)
{
	return at <= INT64_MAX && pread(e->fd, to, bytes, at) == (ssize_t)bytes;
}

static int read_headers(struct elf *e)
{
	Elf64_Ehdr *h = &e->header;

	if (!read_at(e, h, sizeof(*h), 0) || memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 ||
	    h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_machine != EM_X86_64)
		return -ENOEXEC;
	if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_shentsize != sizeof(Elf64_Shdr) ||
	    h->e_phnum > SEGMENTS_MAX || h->e_shnum > SECTIONS_MAX)
		return -ENOEXEC;
	if (!read_at(e, e->segment, h->e_phnum * sizeof(Elf64_Phdr), h->e_phoff) ||
	    !read_at(e, e->section, h->e_shnum * sizeof(Elf64_Shdr), h->e_shoff))
		return -EIO;
	return 0;
}

/* --- symbols by name, without keeping the table of names: first where each name stands in it */

static void find_name(struct elf *e, int f, size_t bytes, uint32_t at)
{
	size_t length = strlen(names[f]) + 1;
	const char *from = e->chunk, *end = e->chunk + bytes, *found;

	while ((found = memmem(from, end - from, names[f], length))) {
		if (e->names_n[f] < CANDIDATES)
			e->name[f][e->names_n[f]++] = at + (found - e->chunk);
		from = found + length;
	}
}

/* Chunks overlap, so that a name that is cut is found in the next one. */
static int find_names(struct elf *e, const Elf64_Shdr *strings)
{
	size_t bytes;

	memset(e->names_n, 0, sizeof(e->names_n));
	for (uint64_t at = 0; at < strings->sh_size; at += CHUNK - NAME_BYTES) {
		bytes = strings->sh_size - at < CHUNK ? strings->sh_size - at : CHUNK;
		if (!read_at(e, e->chunk, bytes, strings->sh_offset + at))
			return -EIO;
		for (int f = 0; f < FUNCTIONS; f++)
			find_name(e, f, bytes, at);
	}
	return 0;
}

static void take_symbol(struct elf *e, const Elf64_Sym *s)
{
	if (ELF64_ST_TYPE(s->st_info) != STT_FUNC || !s->st_shndx || !s->st_value)
		return;
	for (int f = 0; f < FUNCTIONS; f++)
		for (uint32_t i = 0; i < e->names_n[f]; i++)
			if (s->st_name == e->name[f][i] && !e->address[f])
				e->address[f] = s->st_value;
}

static int find_symbols(struct elf *e, const Elf64_Shdr *symbols)
{
	const Elf64_Shdr *strings;
	size_t bytes;
	int err;

	if (symbols->sh_link >= e->header.e_shnum)
		return -ENOEXEC;
	strings = &e->section[symbols->sh_link];
	if (strings->sh_size > TABLE_MAX || symbols->sh_size > TABLE_MAX)
		return -EFBIG;
	err = find_names(e, strings);
	if (err || !e->names_n[READ])
		return err;
	for (uint64_t at = 0; at < symbols->sh_size; at += bytes) {
		bytes = symbols->sh_size - at;
		if (bytes > CHUNK)
			bytes = CHUNK - CHUNK % sizeof(Elf64_Sym);
		if (!read_at(e, e->chunk, bytes, symbols->sh_offset + at))
			return -EIO;
		for (size_t i = 0; i + sizeof(Elf64_Sym) <= bytes; i += sizeof(Elf64_Sym)) {
			Elf64_Sym s;

			memcpy(&s, e->chunk + i, sizeof(s));
			take_symbol(e, &s);
		}
	}
	return 0;
}

/* An executable may export some of them only. */
static int find_functions(struct elf *e)
{
	const uint32_t types[] = {SHT_DYNSYM, SHT_SYMTAB};
	int err = 0;

	for (size_t t = 0; t < sizeof(types) / sizeof(*types); t++)
		for (int i = 0; i < e->header.e_shnum && !err; i++)
			if (e->section[i].sh_type == types[t])
				err = find_symbols(e, &e->section[i]);
	if (e->address[READ] && e->address[WRITE])
		return 0;
	return err ?: -ENOENT;
}

/* 0: it is not code. */
static uint64_t file_offset(const struct elf *e, uint64_t address)
{
	for (int i = 0; i < e->header.e_phnum; i++) {
		const Elf64_Phdr *s = &e->segment[i];

		if (s->p_type == PT_LOAD && s->p_flags & PF_X && address >= s->p_vaddr &&
		    address - s->p_vaddr < s->p_filesz)
			return address - s->p_vaddr + s->p_offset;
	}
	return 0;
}

/* --- what both forms call */

static uint64_t target(const uint8_t *code, uint64_t address, size_t i)
{
	int32_t distance;

	memcpy(&distance, code + i + 1, sizeof(distance));
	return address + i + 5 + distance;
}

/* What a function calls that, before the call, does nothing but make room on the stack: so it gets
 * the same arguments. 0: it is not of that kind. */
static uint64_t passes_on_to(const uint8_t *code, uint64_t address)
{
	static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa}, sub_rsp[] = {0x48, 0x83, 0xec};
	size_t i = 0;

	if (!memcmp(code, endbr64, sizeof(endbr64)))
		i += sizeof(endbr64);
	while (i < CODE_BYTES - 8) {
		if (code[i] >= 0x50 && code[i] <= 0x57) /* push */
			i++;
		else if (code[i] == 0x41 && code[i + 1] >= 0x50 && code[i + 1] <= 0x57)
			i += 2;
		else if (!memcmp(code + i, sub_rsp, sizeof(sub_rsp)))
			i += 4;
		else
			return code[i] == 0xe8 ? target(code, address, i) : 0;
	}
	return 0;
}

static bool calls(const uint8_t *code, uint64_t address, uint64_t what)
{
	for (size_t i = 0; i + 5 <= CODE_BYTES; i++)
		if (code[i] == 0xe8 && target(code, address, i) == what)
			return true;
	return false;
}

/* The offset of the function that a plain form and a form with a pointer to the length both call,
 * the latter with its own arguments; 0: there is none, or it cannot be told. */
static uint64_t in_common(const struct elf *e, enum function plain, enum function ex)
{
	uint8_t code[2][CODE_BYTES];
	uint64_t common;

	if (!e->offset[ex] || !read_at(e, code[0], CODE_BYTES, e->offset[plain]) ||
	    !read_at(e, code[1], CODE_BYTES, e->offset[ex]))
		return 0;
	common = passes_on_to(code[1], e->address[ex]);
	if (!common || common == e->address[plain] || !calls(code[0], e->address[plain], common))
		return 0;
	return file_offset(e, common);
}

static void put(struct tls_symbols *s, enum tls_place place, uint64_t offset)
{
	if (offset && s->place[place].n < TLS_OFFSETS)
		s->place[place].offset[s->place[place].n++] = offset;
}

static void put_call(struct tls_symbols *s, enum tls_place place, uint64_t offset)
{
	put(s, place, offset);
	put(s, TLS_RETURN, offset);
}

static void choose_places(const struct elf *e, struct tls_symbols *s)
{
	bool has_ex2 = e->offset[WRITE_EX2];
	uint64_t read = in_common(e, READ, READ_EX);
	uint64_t write = in_common(e, WRITE, has_ex2 ? WRITE_EX2 : WRITE_EX);

	memset(s, 0, sizeof(*s));
	put_call(s, read ? TLS_READ_EX : TLS_READ, read ?: e->offset[READ]);
	if (!read)
		put_call(s, TLS_READ_EX, e->offset[READ_EX]);
	if (write) {
		put_call(s, has_ex2 ? TLS_WRITE_EX2 : TLS_WRITE_EX, write);
	} else {
		put_call(s, TLS_WRITE, e->offset[WRITE]);
		put_call(s, TLS_WRITE_EX, e->offset[WRITE_EX]);
		put_call(s, TLS_WRITE_EX2, e->offset[WRITE_EX2]);
	}
	put(s, TLS_HANDSHAKE, e->offset[HANDSHAKE]);
	put(s, TLS_FREE, e->offset[FREE]);
	put(s, TLS_FREE, e->offset[CLEAR]);
}

int request_tls_symbols(int fd, struct tls_symbols *ret)
{
	struct elf *e = calloc(1, sizeof(*e));
	int err;

	if (!e)
		return -ENOMEM;
	e->fd = fd;
	err = read_headers(e);
	if (!err)
		err = find_functions(e);
	for (int f = 0; f < FUNCTIONS && !err; f++)
		e->offset[f] = file_offset(e, e->address[f]);
	if (!err && (!e->offset[READ] || !e->offset[WRITE]))
		err = -ENOENT;
	if (!err)
		choose_places(e, ret);
	free(e);
	return err;
}
