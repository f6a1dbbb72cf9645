/* top.h - `trimtab top`: the services of this node, live. */
#ifndef TRIMTAB_TOP_H
#define TRIMTAB_TOP_H

struct client_options;

/* argv[0] is the command's name. Returns the exit status: 0, 1 if trimtab could not be asked, 2 if
 * the command line is wrong. */
int top_command(const struct client_options *defaults, int argc, char **argv);

#endif
