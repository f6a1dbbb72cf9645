/* version.h - what this build is. */
#ifndef TRIMTAB_VERSION_H
#define TRIMTAB_VERSION_H

#define TRIMTAB_VERSION "0.1.0"

#ifdef __clang__
#define TRIMTAB_COMPILER "clang " __clang_version__
#else
#define TRIMTAB_COMPILER "gcc " __VERSION__
#endif

#endif
