/* http_judge.c - judges the samples of a watch. Pure, any thread; the rule is in the header.
 * Called by http_watch_op.c. */
#include "http_judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void dr__judge_begin(dr_judge *judge, const dr_judge_limits *limits) {
  memset(judge, 0, sizeof *judge);
  judge->limits = *limits;
}

static const dr_judged *sample_at(const dr_judge *judge, size_t i) {
  return &judge->samples[(judge->first + i) % DR_JUDGE_SAMPLES];
}

static void drop_first(dr_judge *judge) {
  judge->first = (judge->first + 1) % DR_JUDGE_SAMPLES;
  judge->count--;
}

void dr__judge_add(dr_judge *judge, const dr_judged *sample) {
  if (judge->count == DR_JUDGE_SAMPLES) drop_first(judge);
  judge->samples[(judge->first + judge->count) % DR_JUDGE_SAMPLES] = *sample;
  judge->count++;
  judge->total++;
  if (!sample->good) judge->bad++;
}

static bool errors_fit(const dr_judge *judge, char *why, size_t size) {
  size_t bad = 0;
  for (size_t i = 0; i < judge->count; i++) bad += sample_at(judge, i)->good ? 0 : 1;
  double share = (double)bad / (double)judge->count;
  if (judge->limits.max_error_rate < 0 || bad < judge->limits.min_bad ||
      share <= judge->limits.max_error_rate) {
    return true;
  }
  snprintf(why, size, "%zu of the last %zu answers were bad (%.3g %%, at most %.3g %%)", bad,
           judge->count, share * 100, judge->limits.max_error_rate * 100);
  return false;
}

static int by_size(const void *a, const void *b) {
  uint64_t one = *(const uint64_t *)a;
  uint64_t other = *(const uint64_t *)b;
  return one < other ? -1 : one > other;
}

const int dr__judge_percentiles[DR_JUDGE_PERCENTILES] = {50, 95, 99};

/* `latencies` are sorted. */
static bool percentile_fits(const dr_judge *judge, int which, const uint64_t *latencies,
                            size_t count, char *why, size_t size) {
  size_t percent = (size_t)dr__judge_percentiles[which];
  double most = judge->limits.max_latency_s[which];
  uint64_t limit = (uint64_t)(most * 1e6);
  uint64_t took = latencies[(count * percent + 99) / 100 - 1]; /* the nearest rank */
  size_t slow = 0;
  while (slow < count && latencies[count - 1 - slow] > limit) slow++;
  if (most <= 0 || slow < judge->limits.min_bad || took <= limit) return true;
  snprintf(why, size, "%zu %% of the last %zu answers took up to %.3g s (at most %.3g s)", percent,
           count, (double)took / 1e6, most);
  return false;
}

static bool latencies_fit(const dr_judge *judge, char *why, size_t size) {
  uint64_t latencies[DR_JUDGE_SAMPLES];
  size_t count = 0;
  bool judged = false, fit = true;
  for (int i = 0; i < DR_JUDGE_PERCENTILES; i++)
    judged = judged || judge->limits.max_latency_s[i] > 0;
  for (size_t i = 0; judged && i < judge->count; i++) {
    const dr_judged *sample = sample_at(judge, i);
    if (sample->answered) latencies[count++] = sample->latency_us;
  }
  if (count == 0 || count < judge->limits.min_samples) return true;
  qsort(latencies, count, sizeof latencies[0], by_size);
  for (int i = 0; fit && i < DR_JUDGE_PERCENTILES; i++)
    fit = percentile_fits(judge, i, latencies, count, why, size);
  return fit;
}

bool dr__judge_window(dr_judge *judge, uint64_t now_us, char *why, size_t size) {
  uint64_t window_us = (uint64_t)(judge->limits.window_s * 1e6);
  why[0] = '\0';
  while (judge->count > 0 && sample_at(judge, 0)->at_us + window_us < now_us) drop_first(judge);
  if (judge->count == 0 || judge->count < judge->limits.min_samples) return true;
  return errors_fit(judge, why, size) && latencies_fit(judge, why, size);
}

bool dr__judge_whole(dr_judge *judge, uint64_t now_us, char *why, size_t size) {
  if (!dr__judge_window(judge, now_us, why, size)) return false;
  double share = judge->total ? (double)judge->bad / (double)judge->total : 0;
  bool none_good = judge->total > 0 && judge->bad == judge->total;
  bool too_many = judge->total >= judge->limits.min_samples &&
                  judge->bad >= judge->limits.min_bad && share > judge->limits.max_error_rate;
  if (judge->limits.max_error_rate < 0 || (!none_good && !too_many)) return true;
  snprintf(why, size, "%llu of all %llu answers were bad (%.3g %%, at most %.3g %%)",
           (unsigned long long)judge->bad, (unsigned long long)judge->total, share * 100,
           judge->limits.max_error_rate * 100);
  return false;
}
