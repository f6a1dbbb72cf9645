#include "probe_adapt.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Two programs for one hook: `name` is loaded if the hook has `args` arguments or more, `old` else.
 */
static const struct {
	const char *hook, *name, *old;
	int args;
} variants[] = {
    {"block_rq_issue", NULL, "disk_issue", 2},
    {"block_rq_issue", "disk_issue_old", NULL, 2},
    {"kfree_skb", "tcp_drop", "tcp_drop_old", 3},
};

/* The number of arguments of a raw tracepoint, by the kernel's BTF; -1 if it has no such hook. */
static int hook_args(struct btf *btf, const char *hook)
{
	const struct btf_type *t;
	char name[80];
	int id;

	snprintf(name, sizeof(name), "btf_trace_%s", hook);
	id = btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF);
	if (id < 0)
		return -1;
	t = btf__type_by_id(btf, btf__type_by_id(btf, id)->type); /* typedef -> pointer */
	t = btf__type_by_id(btf, t->type);			  /* pointer -> function */
	return btf_is_func_proto(t) ? btf_vlen(t) - 1 : -1;	  /* the first is the hook's own */
}

bool probe_has_hook(struct btf *btf, const char *hook)
{
	return hook_args(btf, hook) >= 0;
}

void probe_name_drop_reasons(struct shared *s, struct btf *btf)
{
	const size_t prefix = strlen("SKB_DROP_REASON_");
	const struct btf_type *t;
	int id = btf__find_by_name_kind(btf, "skb_drop_reason", BTF_KIND_ENUM);

	for (int i = 0; i < SHARED_DROP_REASONS; i++)
		snprintf(s->drop_reason[i], sizeof(s->drop_reason[i]),
			 id < 0 ? "unknown" : "reason_%d", i);
	snprintf(s->drop_reason[SHARED_DROP_REASONS - 1], sizeof(s->drop_reason[0]), "other");
	if (id < 0)
		return;
	t = btf__type_by_id(btf, id);
	for (int i = 0; i < btf_vlen(t); i++) {
		const struct btf_enum *e = &btf_enum(t)[i];
		const char *name = btf__name_by_offset(btf, e->name_off);
		char *out;

		if (e->val < 0 || e->val >= SHARED_DROP_REASONS - 1 || strlen(name) <= prefix)
			continue;
		out = s->drop_reason[e->val];
		snprintf(out, sizeof(s->drop_reason[0]), "%s", name + prefix);
		for (; *out; out++)
			*out = tolower((unsigned char)*out);
	}
}

static void set_autoload(struct bpf_object *o, const char *name, bool load)
{
	struct bpf_program *p = name ? bpf_object__find_program_by_name(o, name) : NULL;

	if (p)
		bpf_program__set_autoload(p, load);
}

void probe_adapt_programs(struct bpf_object *o, struct btf *btf)
{
	struct bpf_program *p;
	const char *section;

	bpf_object__for_each_program (p, o) {
		section = bpf_program__section_name(p);
		if (!strncmp(section, "tp_btf/", 7) && hook_args(btf, section + 7) < 0)
			bpf_program__set_autoload(p, false);
	}
	for (size_t i = 0; i < sizeof(variants) / sizeof(*variants); i++) {
		bool recent = hook_args(btf, variants[i].hook) >= variants[i].args;

		set_autoload(o, variants[i].name, recent);
		set_autoload(o, variants[i].old, !recent);
	}
}

bool probe_hashes_allocate_safely(struct btf *btf)
{
	return btf__find_by_name_kind(btf, "bpf_mem_alloc", BTF_KIND_STRUCT) >= 0;
}
