/* embed.S - the files that the program serves as they are. Paths are from the top of the tree. */
	.macro	embed name, path
	.globl	\name
	.globl	\name\()_end
	.balign	16
\name:
	.incbin	"\path"
\name\()_end:
	.byte	0
	.endm

	.section .rodata
	embed	embed_index, "dashboards/web/index.html"
	embed	embed_script, "dashboards/web/app.js"
	embed	embed_style, "dashboards/web/app.css"
	embed	embed_openapi, "agent/serve/openapi.json"

	.section .note.GNU-stack, "", @progbits
