/* docker_stats.c - what a container uses, out of the Engine's two samples. Pure, any thread.
 * Called by docker_objects.c. */
#include "docker_json.h"

#include <string.h>

static double number_at(const json_t *object, const char *key) {
  return json_number_value(json_object_get(object, key));
}

/* The share of one processor, in percent: 200 is two of them busy. */
static double cpu_percent(const json_t *stats) {
  const json_t *now = json_object_get(stats, "cpu_stats");
  const json_t *before = json_object_get(stats, "precpu_stats");
  double used = number_at(json_object_get(now, "cpu_usage"), "total_usage") -
                number_at(json_object_get(before, "cpu_usage"), "total_usage");
  double system = number_at(now, "system_cpu_usage") - number_at(before, "system_cpu_usage");
  double processors = number_at(now, "online_cpus");
  return used > 0 && system > 0 ? used / system * (processors > 0 ? processors : 1) * 100 : 0;
}

/* Without the file cache, which the kernel gives back when it must, as `docker stats` counts. */
static double memory_of(const json_t *memory) {
  const json_t *details = json_object_get(memory, "stats");
  double cache = number_at(details, "total_inactive_file"); /* cgroup v1 */
  if (cache <= 0) cache = number_at(details, "inactive_file");
  double used = number_at(memory, "usage");
  return used > cache ? used - cache : used;
}

static void add_network(json_t *out, json_t *networks) {
  double received = 0, sent = 0;
  const char *name;
  const json_t *network;
  json_object_foreach(networks, name, network) {
    received += number_at(network, "rx_bytes");
    sent += number_at(network, "tx_bytes");
  }
  json_object_set_new(out, "received", json_integer((json_int_t)received));
  json_object_set_new(out, "sent", json_integer((json_int_t)sent));
}

static void add_disk(json_t *out, const json_t *block) {
  double got = 0, put = 0;
  size_t i;
  const json_t *entry;
  json_array_foreach(json_object_get(block, "io_service_bytes_recursive"), i, entry) {
    const char *op = json_string_value(json_object_get(entry, "op"));
    if (op && strcasecmp(op, "read") == 0) got += number_at(entry, "value");
    if (op && strcasecmp(op, "write") == 0) put += number_at(entry, "value");
  }
  json_object_set_new(out, "read", json_integer((json_int_t)got));
  json_object_set_new(out, "written", json_integer((json_int_t)put));
}

json_t *dr__docker_stats(const json_t *stats) {
  const json_t *memory = json_object_get(stats, "memory_stats");
  double used = memory_of(memory), limit = number_at(memory, "limit");
  bool measured = used > 0 || cpu_percent(stats) > 0;
  json_t *out =
      json_pack("{s:b, s:f, s:I, s:I, s:f, s:I}", "measured", measured, "cpu_percent",
                cpu_percent(stats), "memory", (json_int_t)used, "memory_limit", (json_int_t)limit,
                "memory_percent", limit > 0 ? used / limit * 100 : 0.0, "pids",
                (json_int_t)number_at(json_object_get(stats, "pids_stats"), "current"));
  if (!out) return NULL;
  add_network(out, json_object_get(stats, "networks"));
  add_disk(out, json_object_get(stats, "blkio_stats"));
  return out;
}
