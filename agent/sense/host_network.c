/* host_network.c - traffic, losses and link state of each network device.
 *
 * Inputs: /proc/net/dev at each tick; SYS/class/net/DEVICE at each slow one, since the kernel takes
 * its network lock for the speed. Bounds: HOST_DEVICES devices (the rest is counted); those that
 * host.ignore_devices matches are left out. Cost: about 12 us and, slow, 50 us a device.
 */
#include "host.h"

#include <stdio.h>

#define COLUMN(name_, help_)                                                                       \
	{                                                                                          \
		name_, METRIC_COUNTER, "device", help_, "/proc/net/dev"                            \
	}

/* in the order of the columns */
static const struct metric columns[] METRIC = {
    COLUMN("trimtab_network_receive_bytes_total", "Bytes received."),
    COLUMN("trimtab_network_receive_packets_total", "Packets received."),
    COLUMN("trimtab_network_receive_errs_total", "Packets received with an error."),
    COLUMN("trimtab_network_receive_drop_total", "Packets received and dropped."),
    COLUMN("trimtab_network_receive_fifo_total", "Receive overruns of the device's FIFO."),
    COLUMN("trimtab_network_receive_frame_total", "Packets received with a framing error."),
    COLUMN("trimtab_network_receive_compressed_total", "Compressed packets received."),
    COLUMN("trimtab_network_receive_multicast_total", "Multicast packets received."),
    COLUMN("trimtab_network_transmit_bytes_total", "Bytes sent."),
    COLUMN("trimtab_network_transmit_packets_total", "Packets sent."),
    COLUMN("trimtab_network_transmit_errs_total", "Packets that could not be sent."),
    COLUMN("trimtab_network_transmit_drop_total", "Packets to be sent and dropped."),
    COLUMN("trimtab_network_transmit_fifo_total", "Send overruns of the device's FIFO."),
    COLUMN("trimtab_network_transmit_colls_total", "Collisions."),
    COLUMN("trimtab_network_transmit_carrier_total", "Losses of carrier while sending."),
    COLUMN("trimtab_network_transmit_compressed_total", "Compressed packets sent."),
};

#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

/* a file each, in /sys/class/net/DEVICE */
static const struct metric links[] METRIC = {
    {"trimtab_network_mtu_bytes", METRIC_GAUGE, "device", "Largest packet.",
     "/sys/class/net/DEVICE mtu"},
    {"trimtab_network_speed_bytes", METRIC_GAUGE, "device",
     "Speed of the link in bytes a second; absent when the device does not know it.",
     "/sys/class/net/DEVICE speed"},
    {"trimtab_network_carrier", METRIC_GAUGE, "device",
     "1 if the link is there; absent while the device is down.", "/sys/class/net/DEVICE carrier"},
    {"trimtab_network_carrier_changes_total", METRIC_COUNTER, "device",
     "Times that the link came or went.", "/sys/class/net/DEVICE carrier_changes"},
    {"trimtab_network_transmit_queue_length", METRIC_GAUGE, "device",
     "Packets that the send queue can hold.", "/sys/class/net/DEVICE tx_queue_len"},
};

enum { SPEED = 1 }; /* of links: in Mbit/s, -1 when the device does not know */

#define LINKS (sizeof(links) / sizeof(links[0]))

static const struct metric up_metric METRIC = {
    "trimtab_network_up",
    METRIC_GAUGE,
    "device",
    "1 if the operational state is up; 0 too for devices that have none, as lo.",
    "/sys/class/net/DEVICE/operstate",
};

/* The next device that is not ignored. The two lines of heading have no colon. */
static bool next_device(struct host *h, struct host_text *text, struct host_text *ret_line,
			char device[HOST_NAME_MAX])
{
	struct host_text line, name;

	while (host_text_line(text, &line)) {
		if (!host_text_until(&line, ':', &name) || name.at == name.end)
			continue;
		host_text_copy(name, device, HOST_NAME_MAX);
		if (host_ignored(&h->ignore_devices, device))
			continue;
		*ret_line = line;
		return true;
	}
	return false;
}

static void network_tick(struct host *h)
{
	char device[HOST_NAME_MAX];
	struct host_text text, line;
	unsigned devices = 0;
	uint64_t value;

	if (host_file_read(h, HOST_NET_DEV, &text) < 0)
		return;
	while (next_device(h, &text, &line, device)) {
		if (devices++ >= HOST_DEVICES)
			continue;
		for (size_t i = 0; i < COLUMNS && host_text_u64(&line, &value); i++)
			host_set(h, &columns[i], (double)value, "device", device);
	}
	h->lost[HOST_LOST_DEVICES] += devices > HOST_DEVICES ? devices - HOST_DEVICES : 0;
}

static void set_link(struct host *h, const char *device)
{
	char folder[HOST_PATH_MAX], path[HOST_PATH_MAX + 16], state[32];
	struct host_text text;
	double value;

	snprintf(folder, sizeof(folder), "%s/class/net/%s", h->paths.sys, device);
	for (size_t i = 0; i < LINKS; i++)
		if (host_file_number(folder, host_field(&links[i]), &value) == 0 && value >= 0)
			host_set(h, &links[i], value * (i == SPEED ? 125000 : 1), "device", device);
	snprintf(path, sizeof(path), "%s/operstate", folder);
	if (host_file_slurp(path, state, sizeof(state), &text) == 0)
		host_set(h, &up_metric, host_text_prefix(&text, "up"), "device", device);
}

static void link_tick(struct host *h)
{
	char device[HOST_NAME_MAX];
	struct host_text text, line;
	unsigned devices = 0;

	if (host_file_read(h, HOST_NET_DEV, &text) < 0)
		return;
	while (devices++ < HOST_DEVICES && next_device(h, &text, &line, device))
		set_link(h, device);
}

const struct host_part host_network_part = {
    .name = "network",
    .tick = network_tick,
};

const struct host_part host_link_part = {
    .name = "link",
    .slow = true,
    .tick = link_tick,
};
