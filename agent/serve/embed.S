/* embed.S - the files that the program serves as they are. Paths are from the top of the tree.
 *
 * web.inc is made by the Makefile: a line `web NAME, TAG` for each file of dashboards/web. embed.h has
 * the layout of the table.
 */
	/* a file's bytes, between the local labels \from and \end */
	.macro	bytes from, end, path
	.balign	16
\from:	.incbin	"\path"
\end:	.byte	0
	.endm

	.macro	web name, tag
	.pushsection .rodata
	bytes	1, 2, "dashboards/web/\name"
	bytes	3, 4, "gz/\name\().gz"
5:	.asciz	"\name"
6:	.asciz	"\tag"
	.popsection
	.quad	5b, 6b, 1b, 2b, 3b, 4b
	.endm

	.section .data.rel.ro, "aw", @progbits
	.balign	8
	.globl	embed_web, embed_web_end
embed_web:
	.include "web.inc"
embed_web_end:
	.quad	0

	.section .rodata
	.globl	embed_openapi
	bytes	embed_openapi, 1, "agent/serve/openapi.json"

	.section .note.GNU-stack, "", @progbits
