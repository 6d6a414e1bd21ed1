/* ui/tally.c - counts a run's events for its report (tally.h). Called by terminal.c, main thread.
 */
#include "tally.h"

#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A clean copy of an event's field; NULL when memory is short. */
static char *take(const dr_event *event, const char *field) {
  ui_buf buf = UI_BUF_INIT;
  ui_add_clean(&buf, dr_event_text(event, field));
  return buf.text != NULL ? buf.text : strdup("");
}

/* The array with room for one more item; NULL when memory is short, the array then stays as it was.
 */
static void *one_more(void *items, size_t count, size_t size) {
  return realloc(items, (count + 1) * size);
}

/* ------------------------------------------------------------ probes */

/* "version 1 → 2 after 8.3 s": what the probed service said it was, first and last. */
static char *take_versions(const dr_event *event, const char *arrow) {
  ui_buf out = UI_BUF_INIT;
  double changed_at = dr_event_number(event, "version_changed_at", -1);
  if (*dr_event_text(event, "first_version") != '\0') {
    ui_buf_add(&out, "version ");
    ui_add_clean(&out, dr_event_text(event, "first_version"));
  }
  if (out.length > 0 && changed_at >= 0) {
    ui_buf_printf(&out, " %s ", arrow);
    ui_add_clean(&out, dr_event_text(event, "last_version"));
    ui_buf_add(&out, " after ");
    ui_add_seconds(&out, changed_at);
  }
  return out.text != NULL ? out.text : strdup("");
}

static void add_probe(ui_tally *tally, const dr_event *event, const char *arrow) {
  ui_probe *probes = one_more(tally->probes, tally->probe_count, sizeof *probes);
  if (probes == NULL) return;
  tally->probes = probes;
  probes[tally->probe_count++] = (ui_probe){
      .url = take(event, "url"),
      .requests = dr_event_number(event, "requests", 0),
      .failed = dr_event_number(event, "failed", dr_event_number(event, "failures", 0)),
      .cause = take(event, "cause"),
      .silence_s = dr_event_number(event, "longest_gap", -1),
      .p95_ms = dr_event_number(event, "p95_ms", -1),
      .versions = take_versions(event, arrow),
  };
}

/* ------------------------------------------------------------ steps and undos */

static void add_finished(ui_tally *tally, const dr_event *event) {
  tally->steps++;
  if (dr_event_number(event, "depth", 0) > 0) return;
  char **names = one_more(tally->finished, tally->finished_count, sizeof *names);
  if (names == NULL) return;
  tally->finished = names;
  names[tally->finished_count++] = take(event, "step");
}

static void add_undo(ui_tally *tally, const dr_event *event, bool failed) {
  ui_undo *undos = one_more(tally->undos, tally->undo_count, sizeof *undos);
  if (undos == NULL) return;
  tally->undos = undos;
  undos[tally->undo_count++] = (ui_undo){
      .step = take(event, "step"),
      .seconds = dr_event_number(event, "seconds", 0),
      .error = failed ? take(event, "message") : NULL,
  };
}

/* "Restart (failed in its middle)": what it did is there, and no undo was given for it. */
static void add_halved(ui_tally *tally, const dr_event *event) {
  bool cancelled = strcmp(dr_event_text(event, "code"), "cancelled") == 0;
  if (dr_event_number(event, "depth", 0) > 0 || dr_event_number(event, "changed", 0) <= 0) return;
  if (tally->halved.length > 0) ui_buf_add(&tally->halved, ", ");
  ui_add_clean(&tally->halved, dr_event_text(event, "step"));
  ui_buf_printf(&tally->halved, " (%s in its middle)", cancelled ? "stopped" : "failed");
}

/* Begins a new story of failure with its innermost step. */
static void begin_failure(ui_tally *tally, const dr_event *event, const char *message) {
  ui_buf_reset(&tally->failed_step);
  ui_buf_reset(&tally->failed_message);
  ui_buf_add(&tally->failed_message, message);
  tally->failed_after_s = dr_event_number(event, "seconds", 0);
}

/* An error passes outwards through the steps that enclose it, so the same message is told again
 * with a smaller depth: those names go in front. What failed only because something else did
 * ("cancelled") begins no story. */
static void add_failure(ui_tally *tally, const dr_event *event) {
  int depth = (int)dr_event_number(event, "depth", 0);
  bool cancelled = strcmp(dr_event_text(event, "code"), "cancelled") == 0;
  if (cancelled && tally->failed_step.length > 0) return;
  char *message = take(event, "message");
  bool same = message != NULL && tally->failed_step.length > 0 && depth < tally->failed_depth &&
              strcmp(message, ui_buf_text(&tally->failed_message)) == 0;
  if (!same) begin_failure(tally, event, message != NULL ? message : "");
  ui_buf title = UI_BUF_INIT;
  int index = (int)dr_event_number(event, "index", 0);
  int total = (int)dr_event_number(event, "total", 0);
  if (index > 0 && total > 0) ui_buf_printf(&title, "[%d/%d] ", index, total);
  ui_add_clean(&title, dr_event_text(event, "step"));
  if (same) ui_buf_printf(&title, ": %s", ui_buf_text(&tally->failed_step));
  ui_buf_free(&tally->failed_step);
  tally->failed_step = title;
  tally->failed_depth = depth;
  free(message);
}

/* ------------------------------------------------------------ all */

static void begin_run(ui_tally *tally, const dr_event *event) {
  free(tally->recipe);
  free(tally->run);
  free(tally->journal);
  tally->recipe = take(event, "recipe");
  tally->run = take(event, "run");
  tally->journal = take(event, "journal");
}

static void count_op_begun(ui_tally *tally, const dr_event *event) {
  if (tally->run != NULL && strcmp(dr_event_text(event, "kind"), "action") == 0) {
    tally->actions_begun++;
  }
}

void ui_tally_event(ui_tally *tally, const dr_event *event, const char *arrow) {
  switch ((int)dr_event_kind(event)) {
  case DR_EVENT_RUN_STARTED: begin_run(tally, event); break;
  case DR_EVENT_STEP_FINISHED: add_finished(tally, event); break;
  case DR_EVENT_STEP_FAILED:
    add_halved(tally, event);
    add_failure(tally, event);
    break;
  case DR_EVENT_OP_STARTED: count_op_begun(tally, event); break;
  case DR_EVENT_OP_FINISHED:
  case DR_EVENT_OP_FAILED: tally->ops += tally->run != NULL ? 1 : 0; break;
  case DR_EVENT_UNDO_FINISHED: add_undo(tally, event, false); break;
  case DR_EVENT_UNDO_FAILED: add_undo(tally, event, true); break;
  case DR_EVENT_PROBE: add_probe(tally, event, arrow); break;
  case DR_EVENT_LOG:
    tally->warnings += strcmp(dr_event_text(event, "level"), "warn") == 0 ? 1 : 0;
    break;
  default: break;
  }
}

void ui_tally_free(ui_tally *tally) {
  for (size_t i = 0; i < tally->probe_count; i++) {
    free(tally->probes[i].url);
    free(tally->probes[i].cause);
    free(tally->probes[i].versions);
  }
  for (size_t i = 0; i < tally->undo_count; i++) {
    free(tally->undos[i].step);
    free(tally->undos[i].error);
  }
  for (size_t i = 0; i < tally->finished_count; i++) free(tally->finished[i]);
  free(tally->probes);
  free(tally->undos);
  free(tally->finished);
  free(tally->recipe);
  free(tally->run);
  free(tally->journal);
  ui_buf_free(&tally->halved);
  ui_buf_free(&tally->failed_step);
  ui_buf_free(&tally->failed_message);
  *tally = (ui_tally){.recipe = NULL};
}
