/* embed.h - the files that embed.S puts into the program.
 *
 * embed_web has each file of dashboards/web, in the order of their names: the Makefile lists them.
 */
#ifndef TRIMTAB_EMBED_H
#define TRIMTAB_EMBED_H

struct embed_file {
	const char *name, *tag;		 /* in its folder; a digest of the content */
	const char *from, *end;		 /* as it is */
	const char *packed, *packed_end; /* by gzip */
};

extern const struct embed_file embed_web[], embed_web_end[];
extern const char embed_openapi[]; /* ends with a NUL */

#endif
