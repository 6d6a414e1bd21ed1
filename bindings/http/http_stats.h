/* http_stats.h - what a probe saw: counts, silences, latencies and versions. Pure: the caller says
 * what time it is. Memory is constant, however long a probe runs. Used by http_probe.c and
 * http_watch_op.c; any thread.
 */
#ifndef DR_HTTP_STATS_H
#define DR_HTTP_STATS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum {
  DR_STATS_SUB = 64,       /* steps per doubling: percentiles are exact to 1.6 % */
  DR_STATS_DOUBLINGS = 32, /* up to 2^37 µs */
  DR_STATS_VERSIONS = 8,   /* distinct versions told apart; further ones are not counted by name */
  DR_STATS_STATUSES = 16,
  DR_STATS_VERSION_SIZE = 64,
  DR_STATS_WHY_SIZE = 160
};

typedef struct dr_stats_version {
  char text[DR_STATS_VERSION_SIZE];
  uint64_t answers;
  uint64_t first_us; /* when it was seen first and last, since the start */
  uint64_t last_us;
} dr_stats_version;

typedef struct dr_stats_status {
  char name[24]; /* "200", or the error's code: "http.connect" */
  uint64_t count;
  uint64_t bad;                /* of these, not the expected answer */
  char why[DR_STATS_WHY_SIZE]; /* the first of the bad ones in words, or "" */
} dr_stats_status;

typedef struct dr_http_stats {
  uint64_t started_us;
  uint64_t last_good_us; /* the last good answer, or the start */
  uint64_t longest_gap_us;
  uint64_t longest_gap_at_us; /* when that silence began, since the start */
  uint64_t requests;          /* ended: answered or failed */
  uint64_t failures;
  uint64_t latencies; /* how many are in the histogram: those of answers, good or bad */
  uint64_t max_us;
  uint64_t late_us; /* the most the prober itself was late with a request */
  uint32_t histogram[DR_STATS_SUB * DR_STATS_DOUBLINGS];
  dr_stats_status statuses[DR_STATS_STATUSES];
  unsigned status_count;
  dr_stats_version versions[DR_STATS_VERSIONS];
  unsigned version_count;
  unsigned last_version; /* index of the version seen last; the first one seen is versions[0] */
} dr_http_stats;

/* One request that has ended. */
typedef struct dr_sample {
  uint64_t now_us;
  uint64_t latency_us;
  bool answered;       /* there was an answer, so that the latency counts */
  bool good;           /* it was the expected one */
  const char *status;  /* "200" or an error's code */
  const char *why;     /* it was not good, in words; or NULL */
  const char *version; /* or NULL */
} dr_sample;

void dr__http_stats_begin(dr_http_stats *stats, uint64_t now_us);
void dr__http_stats_add(dr_http_stats *stats, const dr_sample *sample);

/* A request was sent later than it was due. */
void dr__http_stats_late(dr_http_stats *stats, uint64_t late_us);

/* The latency, in µs, that a share (0…1) of the answers did not exceed; 0 when there were none. */
uint64_t dr__http_stats_percentile(const dr_http_stats *stats, double share);

/* The report at the end:
 * {requests, failures, longest_gap (s), longest_gap_at (s), p50_ms, p95_ms, max_ms, seconds,
 * statuses {name: count}, late_ms; when requests failed cause (the most frequent one, in words);
 * when versions were seen first_version, last_version, versions {text: answers}, and when they
 * differ version_changed_at (s: the first answer of the last version), version_settled_at (s: from
 * here on only that one)}. A silence that lasts until now counts. NULL when memory is short. */
json_t *dr__http_stats_report(const dr_http_stats *stats, uint64_t now_us);

#endif
