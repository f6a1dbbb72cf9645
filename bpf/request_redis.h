/* request_redis.h - the parser of RESP2 and RESP3, as Redis, Valkey and KeyDB speak it.
 *
 * A request is an array of bulk strings, or a line of words (an inline command); its name is the
 * first of them in upper case, at most 16 bytes. An answer is told by its first byte; what it nests
 * is counted, its bulk strings are passed over. Pushes (RESP3 '>') answer nothing.
 *
 * Commands that wait by design are not timed; after SUBSCRIBE, MONITOR or a replication handshake
 * the connection is a stream. CLIENT REPLY OFF is not followed.
 */
#ifndef TRIMTAB_REQUEST_REDIS_H
#define TRIMTAB_REQUEST_REDIS_H

#include "request.h"

enum { REDIS_START, REDIS_ARGUMENTS, REDIS_LINE, REDIS_STREAM };

#define REDIS_DIGITS 10	      /* of a length */
#define REDIS_NAME 16	      /* bytes of a command's name */
#define REDIS_HEADER 24	      /* a "$length\r\n" is shorter */
#define REDIS_BLOCK_WITHIN 96 /* bytes of XREAD's arguments in which BLOCK is looked for */
#define REDIS_ARGUMENTS_STEP 4
#define REDIS_COMMANDS_STEP 16
#define REDIS_ANSWERS_STEP 16

#define REDIS_NULL 0x80000000 /* the length of a null, -1 */

/* A number and "\r\n" at index i. Returns the index behind them; 0: there is no end of line yet. */
static __always_inline __u32 redis_number(const struct request_work *w, __u32 i, __u32 *ret)
{
	__u32 value = 0, null = 0, digit;

	for (int n = 0; n < REDIS_DIGITS + 2 && i < w->end; n++, i++) {
		digit = byte_at(w, i);
		if (digit == '\n') {
			*ret = null ? REDIS_NULL : value & ~REDIS_NULL;
			return i + 1;
		}
		if (digit == '-')
			null = 1;
		digit -= '0';
		if (digit < 10)
			value = value * 10 + digit;
	}
	return 0;
}

/* A number of 1 to 4 digits and "\r\n", as the bytes of a word. Returns their length, 0 if it is
 * something else. */
static __always_inline __u32 redis_short_number(__u64 word, __u32 *ret)
{
	__u64 x = word ^ EACH_BYTE * '\r', end = (x - EACH_BYTE) & ~x & HIGH_BITS;
	__u32 value = (word & 0xff) - '0', digit, n = 1;

	if (value > 9)
		return 0;
	for (; n < 5; n++) {
		if (end >> (8 * n + 7) & 1)
			break;
		digit = (word >> 8 * n & 0xff) - '0';
		if (digit > 9)
			return 0;
		value = value * 10 + digit;
	}
	*ret = value;
	return n < 5 ? n + 2 : 0;
}

/* a-z to A-Z in eight bytes of ASCII */
static __always_inline __u64 redis_upper(__u64 word)
{
	__u64 from_a = word + (0x80 - 'a') * EACH_BYTE,
	      after_z = word + (0x80 - 'z' - 1) * EACH_BYTE;

	return word ^ ((from_a & ~after_z & HIGH_BITS) >> 2);
}

static __always_inline __u64 redis_first_bytes(__u64 word, __u32 n)
{
	return n >= 8 ? word : word & ((1ULL << (8 * n)) - 1);
}

static __always_inline _Bool redis_says_block(const struct request_work *w, __u32 i)
{
	const __u64 block = NAME8('B', 'L', 'O', 'C', 'K', '\r', '\n', 0);

	for (int n = 0; n < REDIS_BLOCK_WITHIN; n++, i++)
		if ((redis_upper(word_at(w, i)) & 0xffffffffffffffULL) == block)
			return i + 7 <= w->end;
	return 0;
}

/* What is special about a command; `i` is where its arguments begin. */
static __always_inline __u32 redis_flags(struct request_work *w, __u64 name, __u32 i)
{
	if (name == NAME8('S', 'U', 'B', 'S', 'C', 'R', 'I', 'B') ||
	    name == NAME8('P', 'S', 'U', 'B', 'S', 'C', 'R', 'I') ||
	    name == NAME8('S', 'S', 'U', 'B', 'S', 'C', 'R', 'I') ||
	    name == NAME8('M', 'O', 'N', 'I', 'T', 'O', 'R', 0) ||
	    name == NAME8('P', 'S', 'Y', 'N', 'C', 0, 0, 0) ||
	    name == NAME8('S', 'Y', 'N', 'C', 0, 0, 0, 0)) {
		w->parser.state = REDIS_STREAM;
		return REQUEST_BEGAN_UNTIMED | REQUEST_BEGAN_SILENT;
	}
	if ((name & 0xffff) == ('B' | 'L' << 8) || (name & 0xffff) == ('B' | 'R' << 8) ||
	    (name & 0xffff) == ('B' | 'Z' << 8) ||
	    (__u32)name == ('W' | 'A' << 8 | 'I' << 16 | 'T' << 24))
		return REQUEST_BEGAN_UNTIMED;
	if ((name & 0xffffffffffULL) == NAME8('X', 'R', 'E', 'A', 'D', 0, 0, 0) &&
	    redis_says_block(w, i))
		return REQUEST_BEGAN_UNTIMED;
	return 0;
}

/* The command's name is at i, n bytes of it. */
static __always_inline void redis_name(struct request_work *w, __u32 i, __u32 n)
{
	__u64 first = redis_upper(redis_first_bytes(word_at(w, i), n)), second = 0;

	if (n > 8)
		second = redis_upper(redis_first_bytes(word_at(w, i + 8), n - 8));
	if (n > REDIS_NAME || ((first | second) & HIGH_BITS)) {
		first = NAME8('O', 'T', 'H', 'E', 'R', 0, 0, 0);
		second = 0;
	}
	set_name(w, first, second);
	w->flags = redis_flags(w, first, i + n);
}

static __always_inline int redis_too_long(const struct request_work *w, __u32 bound)
{
	return unread(w) < bound ? REQUEST_HOLD : REQUEST_BROKEN;
}

/* Passes over arguments, several if they are there. */
static __always_inline int redis_arguments(struct request_work *w)
{
	__u32 length, next;

	for (int n = 0; n < REDIS_ARGUMENTS_STEP; n++) {
		if (byte_at(w, w->at) != '$')
			return REQUEST_BROKEN;
		next = redis_number(w, w->at + 1, &length);
		if (!next)
			return redis_too_long(w, REDIS_HEADER);
		if (length & REDIS_NULL)
			return REQUEST_BROKEN;
		w->at = next;
		w->parser.skip = (__u64)length + 2;
		if (!--w->parser.left) {
			w->parser.state = REDIS_START;
			return REQUEST_MORE;
		}
		if (w->parser.skip >= unread(w))
			return REQUEST_MORE;
		w->at += w->parser.skip;
		w->parser.skip = 0;
	}
	return REQUEST_MORE;
}

/* "*3\r\n$3\r\nSET\r\n" */
static __always_inline int redis_array(struct request_work *w)
{
	__u32 elements, length, next = redis_number(w, w->at + 1, &elements);

	if (!next)
		return redis_too_long(w, REDIS_HEADER);
	if (!elements || elements & REDIS_NULL) { /* an empty array is no command */
		w->at = next;
		return REQUEST_MORE;
	}
	if (next == w->end)
		return REQUEST_HOLD;
	if (byte_at(w, next) != '$')
		return REQUEST_BROKEN;
	next = redis_number(w, next + 1, &length);
	if (!next)
		return redis_too_long(w, 2 * REDIS_HEADER);
	if (length & REDIS_NULL)
		return REQUEST_BROKEN;
	if (w->end - next < (length > REDIS_NAME ? REDIS_NAME : length))
		return REQUEST_HOLD;
	w->parser.left = elements - 1;
	w->parser.state = w->parser.left ? REDIS_ARGUMENTS : REDIS_START;
	redis_name(w, next, length);
	w->at = next;
	w->parser.skip = (__u64)length + 2;
	return REQUEST_BEGAN;
}

/* "PING\r\n" */
static __always_inline int redis_inline(struct request_work *w)
{
	__u32 n = 0;

	if (byte_at(w, w->at) == '\r' || byte_at(w, w->at) == '\n') {
		w->at++;
		return REQUEST_MORE;
	}
	for (; n <= REDIS_NAME && byte_at(w, w->at + n) > ' '; n++)
		;
	if (w->at + n >= w->end)
		return redis_too_long(w, REQUEST_HELD);
	w->parser.state = REDIS_LINE;
	redis_name(w, w->at, n);
	return REQUEST_BEGAN;
}

static __always_inline int redis_line(struct request_work *w, __u8 then)
{
	w->at = find_newline(w, w->at);
	if (w->at < w->end) {
		w->at++;
		w->parser.state = then;
	}
	return REQUEST_MORE;
}

/* "*n\r\n$m\r\n": the head of nearly every command, of up to 9 words, the first of up to 8 letters
 */
#define REDIS_HEAD NAME8('*', 0, '\r', '\n', '$', 0, '\r', '\n')
#define REDIS_HEAD_MASK 0xffff00ffffff00ffULL

/* Where the arguments of a command end that begin at `at`; 0: they do not all lie in the window, or
 * are no short ones. */
static __always_inline __u32 redis_short_arguments(const struct request_work *w, __u32 at,
						   __u32 arguments)
{
	__u32 length, n;

	for (int i = 0; i < REDIS_ARGUMENTS_STEP && arguments; i++, arguments--) {
		n = redis_short_number(word_at(w, at + 1), &length);
		if (!n || byte_at(w, at) != '$')
			return 0;
		at += 1 + n + length + 2;
	}
	return arguments || at > w->end ? 0 : at;
}

/* A command with such a head, and those after it that are alike but for their arguments. */
static __always_inline int redis_command(struct request_work *w, __u64 head)
{
	__u32 arguments = (head >> 8 & 0xff) - '1', length = (head >> 40 & 0xff) - '0', at;
	__u64 name;

	if (arguments > 8 || length - 1 > 7)
		return redis_array(w);
	if (unread(w) < 8 + length)
		return REQUEST_HOLD;
	name = redis_first_bytes(word_at(w, w->at + 8), length);
	w->parser.left = arguments;
	w->parser.state = arguments ? REDIS_ARGUMENTS : REDIS_START;
	redis_name(w, w->at + 8, length);
	at = redis_short_arguments(w, w->at + 8 + length + 2, arguments);
	if (!at || w->flags) {
		w->at += 8;
		w->parser.skip = length + 2;
		return REQUEST_BEGAN;
	}
	w->parser.state = REDIS_START;
	for (int i = 0; i < REDIS_COMMANDS_STEP; i++) {
		w->at = at;
		if (word_at(w, at) != head || redis_first_bytes(word_at(w, at + 8), length) != name)
			break;
		at = redis_short_arguments(w, at + 8 + length + 2, arguments);
		if (!at)
			break;
		w->count++;
	}
	return REQUEST_BEGAN;
}

static __always_inline int redis_request_step(struct request_work *w)
{
	__u64 word = word_at(w, w->at);

	switch (w->parser.state) {
	case REDIS_START:
		if ((word & REDIS_HEAD_MASK) == REDIS_HEAD)
			return redis_command(w, word);
		return (word & 0xff) == '*' ? redis_array(w) : redis_inline(w);
	case REDIS_ARGUMENTS:
		return redis_arguments(w);
	case REDIS_LINE:
		return redis_line(w, REDIS_START);
	}
	return REQUEST_STREAM;
}

/* An element of an answer ends here; `more` are nested in it. */
static __always_inline void redis_element(struct request_work *w, __u32 more)
{
	if (w->parser.left)
		w->parser.left--;
	w->parser.left += more;
}

/* Takes answers that are whole, short and no errors: "+OK", ":1", "$3" and what it holds. */
static __always_inline void redis_short_answers(struct request_work *w)
{
	__u32 at = w->at, length, n;
	__u64 word, x, end;

	w->count = 0;
	for (int i = 0; i < REDIS_ANSWERS_STEP; i++) {
		word = word_at(w, at);
		if ((word & 0xff) == '$') {
			n = redis_short_number(word >> 8, &length);
			if (!n)
				break;
			at += 1 + n + length + 2;
		} else if ((word & 0xff) == '+' || (word & 0xff) == ':') {
			x = word ^ EACH_BYTE * '\n';
			end = (x - EACH_BYTE) & ~x & HIGH_BITS;
			if (!end)
				break;
			end = (end & -end) - 1;
			at += ((end >> 7 & EACH_BYTE) * EACH_BYTE >> 56) + 1;
		} else {
			break;
		}
		if (at > w->end)
			break;
		w->at = at;
		w->count++;
	}
}

static __always_inline int redis_response_step(struct request_work *w)
{
	__u8 type = byte_at(w, w->at);
	_Bool whole = !w->parser.left; /* not nested: an answer of its own */
	__u32 n, next;

	if (w->parser.state == REDIS_LINE)
		return redis_line(w, REDIS_START);
	w->outcome = REQUEST_OK;
	if (whole) {
		redis_short_answers(w);
		if (w->count)
			return REQUEST_ANSWERED;
		w->count = 1;
	}
	switch (type) {
	case '-':
		w->outcome = REQUEST_ERROR;
		/* fall through */
	case '+':
	case ':':
	case ',':
	case '#':
	case '(':
	case '_':
		redis_element(w, 0);
		w->parser.state = REDIS_LINE;
		redis_line(w, REDIS_START);
		return whole ? REQUEST_ANSWERED : REQUEST_MORE;
	case '!':
		w->outcome = REQUEST_ERROR;
		/* fall through */
	case '$':
	case '=':
	case '*':
	case '~':
	case '%':
	case '>':
	case '|':
		break;
	default:
		return REQUEST_BROKEN;
	}
	next = redis_number(w, w->at + 1, &n);
	if (!next)
		return redis_too_long(w, REDIS_HEADER);
	w->at = next;
	if (type == '$' || type == '=' || type == '!') {
		redis_element(w, 0);
		if (!(n & REDIS_NULL))
			w->parser.skip = (__u64)n + 2;
	} else {
		if (n & REDIS_NULL)
			n = 0;
		if (type == '%' || type == '|')
			n *= 2;
		if (type == '|') /* attributes: the element itself follows */
			n++;
		redis_element(w, n);
		if (type == '|' || type == '>')
			return REQUEST_MORE;
	}
	return whole ? REQUEST_ANSWERED : REQUEST_MORE;
}

/* 1: Redis; 0: not; -1: too few bytes. Inline commands count only as PING, which health checks and
 * redis-benchmark send. */
static __always_inline int redis_recognise(const struct request_work *w)
{
	__u32 n = unread(w), i = w->at + 1;
	__u64 word = word_at(w, w->at);

	if ((redis_upper(word) & 0xffffffff) == ('P' | 'I' << 8 | 'N' << 16 | 'G' << 24))
		return n >= 6 ? (word >> 32 & 0xff) == '\r' || (word >> 32 & 0xff) == ' ' : -1;
	if ((word & 0xff) != '*')
		return n < 4 && (redis_upper(word) & 0xff) == 'P' ? -1 : 0;
	for (int digits = 0; digits < 7; digits++, i++) {
		__u8 c = byte_at(w, i);

		if (i >= w->end)
			return -1;
		if (c == '\r' && digits)
			break;
		if (c < '0' || c > '9')
			return 0;
	}
	if (i + 3 > w->end)
		return -1;
	return byte_at(w, i + 1) == '\n' && byte_at(w, i + 2) == '$';
}

#endif
