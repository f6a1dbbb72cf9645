/* modules.c - the table of everything that the roles run. The order is that of their ticks. */
#include "agent.h"
#include "sense/sense.h"
#include "serve/serve.h"

const struct module *const agent_modules[] = {
    &syscall_module, &sched_module, &disk_module,   &tcp_module,
    &request_module, &host_module,  &cgroup_module, &cgroup_slots_module,
    &self_module,    &serve_module, NULL,
};
