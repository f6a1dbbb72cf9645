/* serve.h - the module that serves HTTP. */
#ifndef TRIMTAB_SERVE_H
#define TRIMTAB_SERVE_H

#include "module.h"

extern const struct module serve_module;

#endif
