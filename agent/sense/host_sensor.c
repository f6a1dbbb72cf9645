/* host_sensor.c - temperatures.
 *
 * Inputs: SYS/class/thermal/thermal_zone*, and of SYS/class/hwmon only the chips that live in the
 * CPU: those of boards and drives are read over slow buses, which would hold up the loop. Looked
 * for once, read at each slow tick. Bounds: HOST_SENSORS (the rest is counted). Cost: 5 us a
 * sensor.
 */
#include "host.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct metric temperature METRIC = {
    "trimtab_temperature_celsius",	    METRIC_GAUGE, "chip,device,sensor", "Temperature.",
    "/sys/class/hwmon, /sys/class/thermal",
};

static const char *const chips[] = {"coretemp", "k10temp", "zenpower", "cpu_thermal"};

struct sensor {
	char chip[32], device[32], name[32];
	char path[96]; /* below paths.sys */
};

struct host_sensors {
	bool looked;
	unsigned n;
	struct sensor sensor[HOST_SENSORS];
};

/* The first line of a small file, as a label. */
static bool read_label(const char *folder, const char *name, char *ret, size_t size)
{
	char path[HOST_PATH_MAX], buffer[128];
	struct host_text text, line;

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path) ||
	    host_file_slurp(path, buffer, sizeof(buffer), &text) < 0 ||
	    !host_text_line(&text, &line))
		return false;
	host_text_copy(line, ret, size);
	return true;
}

/* path: below paths.sys */
static void add(struct host *h, const struct sensor *sensor)
{
	struct host_sensors *s = h->sensors;

	if (s->n < HOST_SENSORS)
		s->sensor[s->n++] = *sensor;
	else
		h->lost[HOST_LOST_SENSORS]++;
}

static void add_zone(struct host *h, const char *folder, const char *entry)
{
	struct sensor s = {.chip = "thermal"};

	if (strncmp(entry, "thermal_zone", 12) != 0 || strlen(entry) >= sizeof(s.device))
		return;
	strcpy(s.device, entry);
	snprintf(s.path, sizeof(s.path), "class/thermal/%s/temp", s.device);
	read_label(folder, "type", s.name, sizeof(s.name));
	add(h, &s);
}

static void add_chip(struct host *h, const char *folder, const char *entry)
{
	char label[32], input[32];
	struct sensor s = {0};
	bool known = false;
	double value;

	if (strlen(entry) >= sizeof(s.device) ||
	    !read_label(folder, "name", s.chip, sizeof(s.chip)))
		return;
	strcpy(s.device, entry);
	for (size_t i = 0; i < sizeof(chips) / sizeof(chips[0]); i++)
		known = known || strcmp(s.chip, chips[i]) == 0;
	for (unsigned i = 1; known && i <= 2 * HOST_SENSORS; i++) {
		snprintf(input, sizeof(input), "temp%u_input", i);
		if (host_file_number(folder, input, &value) < 0)
			continue;
		snprintf(s.path, sizeof(s.path), "class/hwmon/%s/%s", s.device, input);
		snprintf(s.name, sizeof(s.name), "temp%u", i);
		snprintf(label, sizeof(label), "temp%u_label", i);
		read_label(folder, label, s.name, sizeof(s.name));
		add(h, &s);
	}
}

static void look(struct host *h, const char *class,
		 void (*each)(struct host *h, const char *folder, const char *entry))
{
	char folder[HOST_PATH_MAX], path[HOST_PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	snprintf(folder, sizeof(folder), "%s/class/%s", h->paths.sys, class);
	dir = opendir(folder);
	if (!dir)
		return;
	for (unsigned i = 0; i < 4 * HOST_SENSORS && (entry = readdir(dir));) {
		if (entry->d_name[0] == '.')
			continue;
		i++;
		if (snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) <
		    (int)sizeof(path))
			each(h, path, entry->d_name);
	}
	closedir(dir);
}

static void sensor_tick(struct host *h)
{
	struct host_sensors *s = h->sensors;
	double milli;

	if (!s->looked) {
		look(h, "hwmon", add_chip);
		look(h, "thermal", add_zone);
		s->looked = true;
	}
	for (unsigned i = 0; i < s->n; i++)
		if (host_file_number(h->paths.sys, s->sensor[i].path, &milli) == 0)
			host_set(h, &temperature, milli / 1e3, "chip", s->sensor[i].chip, "device",
				 s->sensor[i].device, "sensor", s->sensor[i].name);
}

static int sensor_init(struct host *h)
{
	h->sensors = calloc(1, sizeof(*h->sensors));
	return h->sensors ? 0 : -ENOMEM;
}

static void sensor_fini(struct host *h)
{
	free(h->sensors);
}

const struct host_part host_sensor_part = {
    .name = "sensor",
    .slow = true,
    .init = sensor_init,
    .tick = sensor_tick,
    .fini = sensor_fini,
};
