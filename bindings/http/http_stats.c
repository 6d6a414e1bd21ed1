/* http_stats.c - the arithmetic of a probe. Pure, any thread. Called by http_probe.c
 * and http_watch_op.c.
 *
 * Latencies go into a histogram whose steps grow with the value (64 for each doubling), so that an
 * hour of probing takes as much memory as a second of it.
 */
#include "http_stats.h"

#include "core/err.h"
#include "http_client.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void dr__http_stats_begin(dr_http_stats *stats, uint64_t now_us) {
  memset(stats, 0, sizeof *stats);
  stats->started_us = now_us;
  stats->last_good_us = now_us;
}

/* ------------------------------------------------------------ latencies */

/* Values below DR_STATS_SUB have a step of their own; above, the 6 bits below the highest one
 * choose the step. */
static unsigned step_of(uint64_t us) {
  if (us < DR_STATS_SUB) return (unsigned)us;
  unsigned highest = 63u - (unsigned)__builtin_clzll(us);
  unsigned doubling = highest - 5;
  if (doubling >= DR_STATS_DOUBLINGS) return DR_STATS_SUB * DR_STATS_DOUBLINGS - 1;
  unsigned within = (unsigned)(us >> (highest - 6)) & (DR_STATS_SUB - 1);
  return doubling * DR_STATS_SUB + within;
}

/* The largest value of a step. */
static uint64_t top_of(unsigned step) {
  unsigned doubling = step / DR_STATS_SUB;
  if (doubling == 0) return step;
  unsigned shift = doubling - 1;
  return (((uint64_t)DR_STATS_SUB + step % DR_STATS_SUB + 1) << shift) - 1;
}

uint64_t dr__http_stats_percentile(const dr_http_stats *stats, double share) {
  if (stats->latencies == 0) return 0;
  uint64_t wanted = (uint64_t)(share * (double)stats->latencies + 0.999999);
  uint64_t seen = 0;
  if (wanted < 1) wanted = 1;
  for (unsigned step = 0; step < DR_STATS_SUB * DR_STATS_DOUBLINGS; step++) {
    seen += stats->histogram[step];
    if (seen < wanted) continue;
    uint64_t top = step + 1 < DR_STATS_SUB * DR_STATS_DOUBLINGS ? top_of(step) : UINT64_MAX;
    return top < stats->max_us ? top : stats->max_us;
  }
  return stats->max_us;
}

static void add_latency(dr_http_stats *stats, uint64_t us) {
  uint32_t *step = &stats->histogram[step_of(us)];
  if (*step < UINT32_MAX) ++*step;
  stats->latencies++;
  if (us > stats->max_us) stats->max_us = us;
}

/* ------------------------------------------------------------ samples */

static uint64_t since(uint64_t now_us, uint64_t then_us) {
  return now_us > then_us ? now_us - then_us : 0;
}

/* The last place is for all that found none of their own. */
static dr_stats_status *place_of(dr_http_stats *stats, const char *name) {
  for (unsigned i = 0; i < stats->status_count; i++) {
    if (strcmp(stats->statuses[i].name, name) == 0) return &stats->statuses[i];
  }
  bool last = stats->status_count + 1 >= DR_STATS_STATUSES;
  if (last && stats->status_count == DR_STATS_STATUSES)
    return &stats->statuses[DR_STATS_STATUSES - 1];
  dr_stats_status *fresh = &stats->statuses[stats->status_count++];
  dr__copy_text(fresh->name, sizeof fresh->name, last ? "other" : name);
  return fresh;
}

/* What is cut off ends with the "…" by which the beginning of a secret is known. */
static void add_status(dr_http_stats *stats, const dr_sample *sample) {
  static const char cut[] = "…";
  dr_stats_status *place = place_of(stats, sample->status);
  place->count++;
  if (sample->good) return;
  place->bad++;
  if (place->why[0] || !sample->why) return;
  dr__copy_text(place->why, sizeof place->why - strlen(cut), sample->why);
  size_t length = strlen(place->why);
  if (length < strlen(sample->why)) memcpy(place->why + length, cut, sizeof cut);
}

static void add_version(dr_http_stats *stats, const char *text, uint64_t at_us) {
  char name[DR_STATS_VERSION_SIZE];
  dr__copy_text(name, sizeof name, text);
  unsigned i = 0;
  while (i < stats->version_count && strcmp(stats->versions[i].text, name) != 0) i++;
  if (i == DR_STATS_VERSIONS) return;
  dr_stats_version *version = &stats->versions[i];
  if (i == stats->version_count) {
    memcpy(version->text, name, sizeof name);
    version->first_us = at_us;
    stats->version_count++;
  }
  version->answers++;
  version->last_us = at_us;
  stats->last_version = i;
}

static void note_gap(uint64_t *longest, uint64_t *at, uint64_t gap, uint64_t began) {
  if (gap <= *longest) return;
  *longest = gap;
  *at = began;
}

void dr__http_stats_add(dr_http_stats *stats, const dr_sample *sample) {
  uint64_t at = since(sample->now_us, stats->started_us);
  stats->requests++;
  add_status(stats, sample);
  if (sample->answered) add_latency(stats, sample->latency_us);
  if (sample->version) add_version(stats, sample->version, at);
  if (!sample->good) {
    stats->failures++;
    return;
  }
  note_gap(&stats->longest_gap_us, &stats->longest_gap_at_us,
           since(sample->now_us, stats->last_good_us),
           since(stats->last_good_us, stats->started_us));
  stats->last_good_us = sample->now_us;
}

void dr__http_stats_late(dr_http_stats *stats, uint64_t late_us) {
  if (late_us > stats->late_us) stats->late_us = late_us;
}

/* ------------------------------------------------------------ the report */

static json_t *seconds(uint64_t us) {
  return json_real(floor((double)us / 1e3) / 1e3);
}
static json_t *milliseconds(uint64_t us) {
  return json_real(floor((double)us / 10) / 100);
}

static int put_statuses(json_t *report, const dr_http_stats *stats) {
  json_t *statuses = json_object();
  int failed = 0;
  for (unsigned i = 0; i < stats->status_count; i++) {
    const dr_stats_status *status = &stats->statuses[i];
    failed |= json_object_set_new(statuses, status->name, json_integer((json_int_t)status->count));
  }
  return json_object_set_new(report, "statuses", statuses) | failed;
}

static int put_cause(json_t *report, const dr_http_stats *stats) {
  const dr_stats_status *most = NULL;
  for (unsigned i = 0; i < stats->status_count; i++) {
    const dr_stats_status *one = &stats->statuses[i];
    if (one->bad > 0 && (!most || one->bad > most->bad)) most = one;
  }
  if (!most) return 0;
  const char *text = most->why[0] ? most->why : most->name;
  return json_object_set_new(report, "cause", dr__http_json_text(text, strlen(text)));
}

/* From when on only `version` answered: not before its first answer, nor before the last one of
 * another. */
static uint64_t settled_at(const dr_http_stats *stats, unsigned version) {
  uint64_t last = stats->versions[version].first_us;
  for (unsigned i = 0; i < stats->version_count; i++) {
    if (i != version && stats->versions[i].last_us > last) last = stats->versions[i].last_us;
  }
  return last;
}

static int put_versions(json_t *report, const dr_http_stats *stats) {
  if (stats->version_count == 0) return 0;
  const dr_stats_version *first = &stats->versions[0];
  const dr_stats_version *last = &stats->versions[stats->last_version];
  json_t *versions = json_object();
  int failed = json_object_set_new(report, "first_version", json_string(first->text));
  failed |= json_object_set_new(report, "last_version", json_string(last->text));
  for (unsigned i = 0; i < stats->version_count; i++) {
    const dr_stats_version *one = &stats->versions[i];
    failed |= json_object_set_new(versions, one->text, json_integer((json_int_t)one->answers));
  }
  failed |= json_object_set_new(report, "versions", versions);
  if (first == last) return failed;
  failed |= json_object_set_new(report, "version_changed_at", seconds(last->first_us));
  return failed | json_object_set_new(report, "version_settled_at",
                                      seconds(settled_at(stats, stats->last_version)));
}

static int put_latencies(json_t *report, const dr_http_stats *stats) {
  if (stats->latencies == 0) return 0;
  return json_object_set_new(report, "p50_ms",
                             milliseconds(dr__http_stats_percentile(stats, 0.5))) |
         json_object_set_new(report, "p95_ms",
                             milliseconds(dr__http_stats_percentile(stats, 0.95))) |
         json_object_set_new(report, "max_ms", milliseconds(stats->max_us));
}

static int put_counts(json_t *report, const dr_http_stats *stats, uint64_t now_us) {
  uint64_t gap = stats->longest_gap_us;
  uint64_t at = stats->longest_gap_at_us;
  note_gap(&gap, &at, since(now_us, stats->last_good_us),
           since(stats->last_good_us, stats->started_us));
  return json_object_set_new(report, "requests", json_integer((json_int_t)stats->requests)) |
         json_object_set_new(report, "failures", json_integer((json_int_t)stats->failures)) |
         json_object_set_new(report, "longest_gap", seconds(gap)) |
         json_object_set_new(report, "longest_gap_at", seconds(at)) |
         json_object_set_new(report, "late_ms", milliseconds(stats->late_us)) |
         json_object_set_new(report, "seconds", seconds(since(now_us, stats->started_us)));
}

json_t *dr__http_stats_report(const dr_http_stats *stats, uint64_t now_us) {
  json_t *report = json_object();
  if (!report) return NULL;
  int failed = put_counts(report, stats, now_us) | put_latencies(report, stats) |
               put_statuses(report, stats) | put_cause(report, stats) | put_versions(report, stats);
  if (!failed) return report;
  json_decref(report);
  return NULL;
}
