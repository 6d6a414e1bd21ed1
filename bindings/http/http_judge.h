/* http_judge.h - whether a row of samples crosses a threshold, in a sliding window. Pure: no I/O,
 * no Lua, any thread. Used by http.watch (http_watch_op.c).
 *
 * The rule: the last `window` is judged, once it holds `min_samples` answers. It is bad when a
 * share of more than `max_error_rate` were bad and at least `min_bad` of them; or when a percentile
 * of their latencies is above its limit and at least `min_bad` were slower. So neither one bad
 * answer nor a burst of few decides, however small the window. At the end the whole is judged: by
 * the same rule, and it is bad too when there were answers and none of them was good.
 */
#ifndef DR_HTTP_JUDGE_H
#define DR_HTTP_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DR_JUDGE_PERCENTILES = 3 };
extern const int dr__judge_percentiles[DR_JUDGE_PERCENTILES]; /* 50, 95, 99 */

typedef struct dr_judge_limits {
  double window_s;
  double max_error_rate;                      /* 0…1; negative: not judged */
  double max_latency_s[DR_JUDGE_PERCENTILES]; /* 0: not judged */
  unsigned min_samples;
  unsigned min_bad;
} dr_judge_limits;

enum { DR_JUDGE_SAMPLES = 4096 }; /* of the window that are kept; of more, the newest */

typedef struct dr_judged {
  uint64_t at_us;
  uint64_t latency_us;
  bool answered; /* so that the latency counts */
  bool good;
} dr_judged;

typedef struct dr_judge {
  dr_judge_limits limits;
  dr_judged samples[DR_JUDGE_SAMPLES]; /* a ring */
  size_t first;
  size_t count;
  uint64_t total; /* since the beginning */
  uint64_t bad;
} dr_judge;

void dr__judge_begin(dr_judge *judge, const dr_judge_limits *limits);
void dr__judge_add(dr_judge *judge, const dr_judged *sample);

/* False when the window that ends now is bad; then `why` says it in words. */
bool dr__judge_window(dr_judge *judge, uint64_t now_us, char *why, size_t size);

/* The same of the whole, at its end. */
bool dr__judge_whole(dr_judge *judge, uint64_t now_us, char *why, size_t size);

#endif
