/* service_names.c - see service_names.h.
 *
 * The path alone decides what kind of place it is, innermost first: Kubernetes nests its containers
 * in slices of systemd, containers may run a systemd of their own. An unprivileged user can ask
 * neither the container engine nor the API server, so a pod's name is that of its log files.
 */
#include "service_names.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "store/labels.h"

#define ID_DIGITS 64
#define ID_SHOWN 12
#define HEX "0123456789abcdefABCDEF"
#define UID_MAX 37
#define PATH_BYTES 1024

/* Units that hold whatever somebody started in them: they say nothing. */
static const struct {
	const char *prefix, *suffix;
} vague[] = {
    {"init", ".scope"},	     {"session-", ".scope"},	 {"user@", ".service"},
    {"vte-spawn", ".scope"}, {"tmux-spawn-", ".scope"},	 {"ptyxis-spawn-", ".scope"},
    {"run-", ".scope"},	     {"systemd-run-", ".scope"},
};

static bool begins(const char *text, size_t n, const char *prefix)
{
	size_t m = strlen(prefix);

	return n >= m && memcmp(text, prefix, m) == 0;
}

static bool ends(const char *text, size_t n, const char *suffix)
{
	size_t m = strlen(suffix);

	return n >= m && memcmp(text + n - m, suffix, m) == 0;
}

void service_names_print(const char *text, size_t bytes, char *ret, size_t size)
{
	size_t n = strnlen(text, bytes);

	n = n < size ? n : size - 1;
	for (size_t i = 0; i < n; i++)
		ret[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	ret[n] = '\0';
}

/* A name of any length into the room there is; see the header. */
static void set_name(char ret[SERVICE_NAMES_MAX], const char *name)
{
	size_t n = strlen(name), kept = SERVICE_NAMES_MAX - 10;

	service_names_print(name, n, ret, SERVICE_NAMES_MAX);
	if (n >= SERVICE_NAMES_MAX)
		snprintf(ret + kept, SERVICE_NAMES_MAX - kept, "~%08x",
			 (uint32_t)labels_hash(0, name, n));
}

/* --- containers and pods */

static const char *find_container(const char *path)
{
	const char *found = NULL;
	size_t run;

	for (; *path; path += run ? run : 1) {
		run = strspn(path, HEX);
		if (run == ID_DIGITS)
			found = path;
	}
	return found;
}

void service_names_container(const char *cgroup, char ret[SERVICE_NAMES_CONTAINER_MAX])
{
	const char *id = find_container(cgroup);

	snprintf(ret, SERVICE_NAMES_CONTAINER_MAX, "%.*s", ID_SHOWN, id ? id : "");
}

/* A pod's UID is a UUID, its dashes written as '_' in the name of a slice; that of a static pod is
 * a hash of 32 digits. */
static bool is_uid(const char *text, size_t n)
{
	if (n == 32)
		return strspn(text, HEX) == n;
	return n == 36 && strspn(text, HEX) == 8 && strspn(text + 9, HEX) == 4 &&
	       strspn(text + 14, HEX) == 4 && strspn(text + 19, HEX) == 4 &&
	       strspn(text + 24, HEX) == 12;
}

static bool find_pod(const char *path, char ret_uid[UID_MAX])
{
	const char *at = path;
	bool found = false;

	while ((at = strstr(at, "pod"))) {
		bool apart = at > path && (at[-1] == '/' || at[-1] == '-');
		size_t n = strspn(at + 3, HEX "_-");

		at += 3;
		if (!apart || !is_uid(at, n) || !strchr("/.", at[n]))
			continue;
		for (size_t i = 0; i < n; i++)
			ret_uid[i] = at[i] == '_' ? '-' : at[i];
		ret_uid[n] = '\0';
		found = true;
	}
	return found;
}

struct search {
	const char *id; /* what the entry ends in */
	size_t id_bytes;
	char found[256]; /* the entry; "": none */
	unsigned n;	 /* entries that fit */
};

/* Looks for the entries of a directory that end in id and then suffix, with more before them. */
static bool find_entry(const char *dir, struct search *s, const char *suffix)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	s->n = 0;
	if (!d)
		return false;
	for (int i = 0; i < SERVICE_NAMES_ENTRIES && (entry = readdir(d)); i++) {
		size_t n = strlen(entry->d_name), tail = s->id_bytes + strlen(suffix);

		if (entry->d_name[0] == '.' || n <= tail || n >= sizeof(s->found) ||
		    !ends(entry->d_name, n, suffix) ||
		    memcmp(entry->d_name + n - tail, s->id, s->id_bytes) != 0)
			continue;
		memcpy(s->found, entry->d_name, n - tail);
		s->found[n - tail] = '\0';
		s->n++;
	}
	closedir(d);
	return s->n > 0;
}

/* POD_NAMESPACE_CONTAINER-ID.log: none of the names has a '_' in it */
static bool name_of_container(const char *logs, const char *id, char *ret, size_t size)
{
	struct search s = {.id = id, .id_bytes = ID_DIGITS};
	char dir[PATH_BYTES], *space, *container;

	snprintf(dir, sizeof(dir), "%s/containers", logs);
	if (!find_entry(dir, &s, ".log"))
		return false;
	space = strchr(s.found, '_');
	container = space ? strchr(space + 1, '_') : NULL;
	if (!container || !ends(container, strlen(container), "-"))
		return false;
	*space++ = *container++ = '\0';
	container[strlen(container) - 1] = '\0';
	snprintf(ret, size, "%s/%s/%s", space, s.found, container);
	return true;
}

/* NAMESPACE_POD_UID/CONTAINER; of several containers none can be told to be the one */
static bool name_of_pod(const char *logs, const char *uid, char *ret, size_t size)
{
	struct search s = {.id = uid, .id_bytes = strlen(uid)}, inside = {.id = ""};
	char dir[PATH_BYTES], *pod;

	snprintf(dir, sizeof(dir), "%s/pods", logs);
	if (!find_entry(dir, &s, ""))
		return false;
	pod = strchr(s.found, '_');
	if (!pod || !ends(pod + 1, strlen(pod + 1), "_"))
		return false;
	snprintf(dir, sizeof(dir), "%s/pods/%s%s", logs, s.found, uid);
	find_entry(dir, &inside, "");
	*pod++ = '\0';
	pod[strlen(pod) - 1] = '\0';
	if (inside.n == 1)
		snprintf(ret, size, "%s/%s/%s", s.found, pod, inside.found);
	else
		snprintf(ret, size, "%s/%s", s.found, pod);
	return true;
}

/* --- units of systemd */

/* "run-u12.service", "run-r" and 32 digits: systemd-run makes them up */
static bool is_made_up(const char *part, size_t n)
{
	const char *at = part + 4;

	if (!begins(part, n, "run-") || !ends(part, n, ".service"))
		return false;
	at += *at && strchr("urp", *at);
	at += strspn(at, HEX "-i");
	return at == part + n - strlen(".service");
}

static bool says_nothing(const char *part, size_t n)
{
	for (size_t i = 0; i < sizeof(vague) / sizeof(vague[0]); i++)
		if (begins(part, n, vague[i].prefix) && ends(part, n, vague[i].suffix))
			return true;
	return is_made_up(part, n);
}

/* What a part of a path gives to the name; false: nothing. */
static bool unit_of(const char *path, const char *part, size_t n, const char **ret, size_t *ret_n)
{
	size_t skip = begins(part, n, "lxc.payload.") ? strlen("lxc.payload.") : 0;
	size_t suffix = ends(part, n, ".service") ? 8 : ends(part, n, ".scope") ? 6 : 0;
	bool lxc = part - path >= 5 && memcmp(part - 5, "/lxc/", 5) == 0;

	if (!skip && !lxc && (!suffix || says_nothing(part, n)))
		return false;
	*ret = part + skip;
	*ret_n = n - skip - (skip || lxc ? 0 : suffix);
	return *ret_n > 0;
}

/* The units of a path, outer ones first, with '/' between them; "" if it has none. */
static void join_units(const char *path, char *ret, size_t size)
{
	size_t used = 0, n, unit_n;
	const char *unit;

	ret[0] = '\0';
	if (strncmp(path, "...", 3) == 0)
		path += strcspn(path, "/"); /* its beginning was cut off */
	for (const char *part = path; *part; part += n) {
		part += *part == '/';
		n = strcspn(part, "/");
		if (unit_of(path, part, n, &unit, &unit_n) && used < size)
			used += (size_t)snprintf(ret + used, size - used, "%s%.*s", used ? "/" : "",
						 (int)unit_n, unit);
	}
}

bool service_names_find(const char *logs, const char *cgroup, const char *comm,
			char ret[SERVICE_NAMES_MAX])
{
	const char *id = find_container(cgroup);
	char name[PATH_BYTES], uid[UID_MAX];
	bool pod = find_pod(cgroup, uid), known = true;

	if (pod)
		known = (id && name_of_container(logs, id, name, sizeof(name))) ||
			name_of_pod(logs, uid, name, sizeof(name));
	if (!pod || !known) {
		if (id)
			snprintf(name, sizeof(name), "container:%.*s", ID_SHOWN, id);
		else
			join_units(cgroup, name, sizeof(name));
	}
	set_name(ret, name[0] ? name : comm[0] ? comm : "unknown");
	return known;
}
