/* embed.h - the files that embed.S puts into the program; each _end is where it ends, and holds a
 * NUL. */
#ifndef TRIMTAB_EMBED_H
#define TRIMTAB_EMBED_H

extern const char embed_index[], embed_index_end[];
extern const char embed_script[], embed_script_end[];
extern const char embed_style[], embed_style_end[];
extern const char embed_openapi[], embed_openapi_end[];

#endif
