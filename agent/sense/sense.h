/* sense.h - the sources, one file each. */
#ifndef TRIMTAB_SENSE_H
#define TRIMTAB_SENSE_H

#include "module.h"

extern const struct module syscall_module;	/* syscall.c: durations, errors, blocked time */
extern const struct module sched_module;	/* sched.c: run queue, uninterruptible sleep */
extern const struct module disk_module;		/* disk.c */
extern const struct module tcp_module;		/* tcp.c */
extern const struct module request_module;	/* request.c: by service and operation */
extern const struct module host_module;		/* host.c: /proc and /sys */
extern const struct module cgroup_module;	/* cgroup.c */
extern const struct module cgroup_slots_module; /* cgroup_slots.c: the probes' accounts by cgroup */
extern const struct module self_module;		/* self.c: trimtab's own cost and losses */

#endif
