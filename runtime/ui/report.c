/* ui/report.c - the last screen of a run, and errors outside of one (report.h). Main thread. */
#include "report.h"

#include "text.h"

#include <stdlib.h>
#include <string.h>

enum { LABEL_WIDTH = 15, DETAIL_LINES = 12, CAUSES = 4, CAUSE_PATH = 128 };

/* ------------------------------------------------------------ errors from events */

static void copy_field(char *to, size_t size, const dr_event *event, const char *path,
                       const char *field) {
  char full[CAUSE_PATH];
  (void)snprintf(full, sizeof full, "%s.%s", path, field);
  (void)snprintf(to, size, "%s", dr_event_text(event, full));
}

void ui_error_from_event(dr_err *err, const dr_event *event, const char *path) {
  char deeper[CAUSE_PATH];
  copy_field(err->code, sizeof err->code, event, path, "code");
  copy_field(err->message, sizeof err->message, event, path, "message");
  copy_field(err->hint, sizeof err->hint, event, path, "hint");
  copy_field(err->target, sizeof err->target, event, path, "target");
  copy_field(err->op, sizeof err->op, event, path, "op");
  copy_field(err->where, sizeof err->where, event, path, "where");
  (void)snprintf(deeper, sizeof deeper, "%s.detail", path);
  const char *detail = dr_event_text(event, deeper);
  err->detail = *detail != '\0' ? strdup(detail) : NULL;
  (void)snprintf(deeper, sizeof deeper, "%s.cause", path);
  if (strlen(deeper) + 16 >= sizeof deeper || *dr_event_text(event, deeper) == '\0') return;
  err->cause = calloc(1, sizeof *err->cause);
  if (err->cause != NULL) ui_error_from_event(err->cause, event, deeper);
}

/* ------------------------------------------------------------ rows */

/* A line of one style. */
static void add_line(ui_buf *out, const ui_screen *screen, ui_stream to, ui_style style,
                     const ui_buf *line) {
  ui_block block = {.indent = 2, .width = ui_wrap_width(screen, to)};
  ui_buf wrapped = UI_BUF_INIT;
  ui_add_block(&wrapped, ui_buf_text(line), &block);
  ui_paint(out, screen, to, style, ui_buf_text(&wrapped));
  ui_buf_free(&wrapped);
}

static void end_line(ui_buf *out) {
  ui_buf_add(out, "\n");
}

/* Begins "  Label          ". */
static void add_label(ui_buf *out, const ui_screen *screen, ui_stream to, const char *label,
                      ui_style style) {
  ui_buf padded = UI_BUF_INIT;
  ui_add_padded(&padded, label, LABEL_WIDTH);
  ui_buf_add(out, "  ");
  ui_paint(out, screen, to, style, ui_buf_text(&padded));
  ui_buf_free(&padded);
}

static void add_row_within(ui_buf *out, const ui_screen *screen, ui_stream to, const char *label,
                           ui_style style, const char *text, size_t width) {
  if (*text == '\0') return;
  ui_block block = {.indent = LABEL_WIDTH + 2, .width = width};
  add_label(out, screen, to, label, style);
  ui_add_block(out, text, &block);
  end_line(out);
}

static void add_row(ui_buf *out, const ui_screen *screen, ui_stream to, const char *label,
                    ui_style style, const char *text) {
  add_row_within(out, screen, to, label, style, text, ui_wrap_width(screen, to));
}

/* A path on stderr is never broken into two: it is copied from here. */
static void add_path_row(ui_buf *out, const ui_screen *screen, const char *label,
                         const char *path) {
  add_row_within(out, screen, UI_ERR, label, UI_DIM, path, 0);
}

/* ------------------------------------------------------------ availability */

static void add_silence(ui_buf *out, double seconds) {
  if (seconds < 0) return;
  ui_buf_printf(out, ", longest silence %.2f s", seconds);
}

/* "1,204 requests, 0 failed, longest silence 0.06 s, p95 12 ms · version 1 → 2 after 8.3 s" */
static void add_measured(ui_buf *out, const ui_screen *screen, const ui_probe *probe) {
  ui_add_counted(out, probe->requests, "request", "requests");
  ui_buf_add(out, ", ");
  ui_add_count(out, probe->failed);
  ui_buf_add(out, " failed");
  if (probe->failed > 0 && probe->cause != NULL && *probe->cause != '\0')
    ui_buf_printf(out, " (most often: %s)", probe->cause);
  add_silence(out, probe->silence_s);
  if (probe->p95_ms >= 0) ui_buf_printf(out, ", p95 %.0f ms", probe->p95_ms);
  if (probe->versions != NULL && *probe->versions != '\0') {
    ui_buf_printf(out, " %s %s", ui_dot(screen), probe->versions);
  }
}

static void add_availability(ui_buf *out, const ui_screen *screen, ui_stream to,
                             const ui_tally *tally) {
  if (tally->probe_count == 0) {
    add_row(out, screen, to, "Downtime", UI_DIM, "not measured (the recipe has no http.probe)");
  }
  for (size_t i = 0; i < tally->probe_count; i++) {
    const ui_probe *probe = &tally->probes[i];
    ui_buf text = UI_BUF_INIT;
    add_measured(&text, screen, probe);
    if (tally->probe_count > 1 && probe->url != NULL) ui_buf_printf(&text, "\n%s", probe->url);
    ui_style style = probe->failed > 0 ? UI_WARN : UI_DIM;
    add_row(out, screen, to, "Availability", style, ui_buf_text(&text));
    ui_buf_free(&text);
  }
}

/* ------------------------------------------------------------ a good end */

/* " in 9.2 s · 8 steps · 23 ops · 1 warning" */
static void add_counts(ui_buf *out, const ui_screen *screen, const ui_tally *tally,
                       const dr_event *event) {
  ui_buf_add(out, " in ");
  ui_add_seconds(out, dr_event_number(event, "seconds", 0));
  ui_buf_printf(out, " %s ", ui_dot(screen));
  ui_add_counted(out, tally->steps, "step", "steps");
  ui_buf_printf(out, " %s ", ui_dot(screen));
  ui_add_counted(out, tally->ops, "op", "ops");
  if (tally->warnings > 0) {
    ui_buf_printf(out, " %s ", ui_dot(screen));
    ui_add_counted(out, tally->warnings, "warning", "warnings");
  }
}

static void add_probe_counts(ui_buf *out, const ui_screen *screen, const ui_tally *tally) {
  for (size_t i = 0; i < tally->probe_count; i++) {
    ui_buf_printf(out, " %s ", ui_dot(screen));
    ui_add_counted(out, tally->probes[i].requests, "request", "requests");
    ui_buf_add(out, ", ");
    ui_add_count(out, tally->probes[i].failed);
    ui_buf_add(out, " failed");
  }
}

void ui_report_done(ui_screen *screen, const ui_tally *tally, const dr_event *event, bool quiet) {
  ui_buf out = UI_BUF_INIT;
  if (quiet) {
    ui_buf_printf(&out, "%s done", tally->recipe != NULL ? tally->recipe : "");
    add_counts(&out, screen, tally, event);
    add_probe_counts(&out, screen, tally);
    end_line(&out);
  } else {
    end_line(&out);
    ui_block block = {.indent = 2, .width = ui_wrap_width(screen, UI_OUT)};
    ui_buf counts = UI_BUF_INIT;
    add_counts(&counts, screen, tally, event);
    ui_paint(&out, screen, UI_OUT, UI_GOOD, "Done");
    ui_add_block(&out, ui_buf_text(&counts), &block);
    end_line(&out);
    ui_buf_free(&counts);
    add_availability(&out, screen, UI_OUT, tally);
  }
  ui_put(screen, UI_OUT, &out);
  ui_buf_free(&out);
}

/* ------------------------------------------------------------ a bad end */

/* The last lines of a command's output, each behind a bar. */
static void add_detail(ui_buf *out, const ui_screen *screen, const char *detail) {
  size_t length = strlen(detail);
  while (length > 0 && detail[length - 1] == '\n') length--;
  size_t from = length;
  int lines = 0;
  while (from > 0 && lines < DETAIL_LINES) {
    from--;
    if (detail[from] == '\n') lines++;
  }
  if (lines == DETAIL_LINES) from++;
  if (length == 0) return;
  ui_block block = {.indent = 2, .width = ui_wrap_width(screen, UI_ERR), .bar = ui_bar(screen)};
  ui_buf last = UI_BUF_INIT;
  ui_buf_add_bytes(&last, detail + from, length - from);
  ui_buf_printf(out, "  %s", block.bar);
  ui_add_block(out, ui_buf_text(&last), &block);
  end_line(out);
  ui_buf_free(&last);
}

static void add_message(ui_buf *out, const ui_screen *screen, const dr_err *err) {
  ui_block block = {.indent = 2, .width = ui_wrap_width(screen, UI_ERR)};
  ui_buf_add(out, "  ");
  ui_add_block(out, err->message, &block);
  end_line(out);
  if (err->detail != NULL) add_detail(out, screen, err->detail);
}

/* "compose.build on local (command.failed)"; nothing for a wrong command line or an
 * interruption, whose messages say it all. */
static void add_op_row(ui_buf *out, const ui_screen *screen, const dr_err *err) {
  ui_buf text = UI_BUF_INIT;
  if (strncmp(err->code, "usage.", 6) == 0 || strncmp(err->code, "param.", 6) == 0) return;
  if (err->op[0] == '\0' && strcmp(err->code, "cancelled") == 0) return;
  ui_buf_add(&text, err->op);
  if (err->target[0] != '\0') {
    ui_buf_printf(&text, "%s%s", text.length > 0 ? " on " : "", err->target);
  }
  if (err->code[0] != '\0') {
    ui_buf_printf(&text, text.length > 0 ? " (%s)" : "%s", err->code);
  }
  const char *label = err->op[0] != '\0' ? "Op" : err->target[0] != '\0' ? "Target" : "Code";
  add_row(out, screen, UI_ERR, label, UI_DIM, ui_buf_text(&text));
  ui_buf_free(&text);
}

/* What to do, what failed where, and the errors behind it. */
static void add_error_rows(ui_buf *out, const ui_screen *screen, const dr_err *err) {
  add_row(out, screen, UI_ERR, "Hint", UI_NOTE, err->hint);
  add_op_row(out, screen, err);
  add_path_row(out, screen, "Recipe", err->where);
  int depth = 0;
  for (const dr_err *cause = err->cause; cause != NULL && depth < CAUSES; cause = cause->cause) {
    add_row(out, screen, UI_ERR, "Because", UI_DIM, cause->message);
    if (err->hint[0] == '\0') add_row(out, screen, UI_ERR, "Hint", UI_NOTE, cause->hint);
    depth++;
  }
}

static void add_name(ui_buf *list, const char *name) {
  if (list->length > 0) ui_buf_add(list, ", ");
  ui_buf_add(list, name != NULL ? name : "?");
}

/* Whether an undo of the step was begun. */
static bool was_undone(const ui_tally *tally, const char *step) {
  for (size_t i = 0; i < tally->undo_count; i++) {
    const char *undone = tally->undos[i].step;
    if (undone != NULL && strcmp(undone, step) == 0) return true;
  }
  return false;
}

static void add_undo_rows(ui_buf *out, const ui_screen *screen, const ui_tally *tally) {
  ui_buf good = UI_BUF_INIT;
  for (size_t i = 0; i < tally->undo_count; i++) {
    const ui_undo *undo = &tally->undos[i];
    if (undo->error != NULL) continue;
    add_name(&good, undo->step);
    ui_buf_add(&good, " (");
    ui_add_seconds(&good, undo->seconds);
    ui_buf_add(&good, ")");
  }
  add_row(out, screen, UI_ERR, "Undone", UI_GOOD, ui_buf_text(&good));
  ui_buf_free(&good);
  for (size_t i = 0; i < tally->undo_count; i++) {
    const ui_undo *undo = &tally->undos[i];
    if (undo->error == NULL) continue;
    ui_buf bad = UI_BUF_INIT;
    add_name(&bad, undo->step);
    ui_buf_printf(&bad, ": %s", undo->error);
    add_row(out, screen, UI_ERR, "NOT undone", UI_BAD, ui_buf_text(&bad));
    ui_buf_free(&bad);
  }
}

/* Undos that were not begun, because the run was told to stop at once. */
static void add_skipped_row(ui_buf *out, const ui_screen *screen, const ui_tally *tally,
                            const dr_event *event) {
  ui_buf skipped = UI_BUF_INIT;
  size_t count = dr_event_count(event, "not_undone"), named = 0;
  for (size_t i = 0; i < count; i++) {
    char path[32];
    ui_buf name = UI_BUF_INIT;
    (void)snprintf(path, sizeof path, "not_undone.%zu", i);
    ui_add_clean(&name, dr_event_text(event, path));
    if (!was_undone(tally, ui_buf_text(&name))) {
      add_name(&skipped, ui_buf_text(&name));
      named++;
    }
    ui_buf_free(&name);
  }
  if (named > 0)
    ui_buf_printf(&skipped, ": stopped before %s undo began", named == 1 ? "its" : "their");
  add_row(out, screen, UI_ERR, "NOT undone", UI_BAD, ui_buf_text(&skipped));
  ui_buf_free(&skipped);
}

/* Whether any action was begun. */
static bool was_changed(const ui_tally *tally, const dr_event *event) {
  return dr_event_number(event, "changed", tally->actions_begun > 0 ? 1 : 0) > 0;
}

/* True when the step stands in the event's list of steps whose undo did not run. */
static bool is_skipped(const dr_event *event, const char *step) {
  size_t count = dr_event_count(event, "not_undone");
  for (size_t i = 0; i < count; i++) {
    char path[32];
    (void)snprintf(path, sizeof path, "not_undone.%zu", i);
    if (strcmp(dr_event_text(event, path), step) == 0) return true;
  }
  return false;
}

/* The steps whose work is still there: they have no undo, or did not come to their end. */
static void add_kept_row(ui_buf *out, const ui_screen *screen, const ui_tally *tally,
                         const dr_event *event) {
  ui_buf kept = UI_BUF_INIT;
  for (size_t i = 0; i < tally->finished_count; i++) {
    const char *name = tally->finished[i];
    if (name != NULL && !was_undone(tally, name) && !is_skipped(event, name)) add_name(&kept, name);
  }
  if (tally->halved.length > 0) add_name(&kept, ui_buf_text(&tally->halved));
  add_row(out, screen, UI_ERR, "Left in place", UI_DIM, ui_buf_text(&kept));
  ui_buf_free(&kept);
}

/* "Failed in [3/8] Migrate after 4.1 s" */
static void add_headline(ui_buf *out, const ui_screen *screen, const ui_tally *tally,
                         const dr_err *err) {
  ui_buf line = UI_BUF_INIT;
  dr_status status = dr_err_status(err);
  const char *word = status == DR_INTERRUPTED ? "Interrupted"
                     : status == DR_REFUSED   ? "Refused"
                                              : "Failed";
  ui_buf_add(&line, word);
  if (tally->failed_step.length > 0) {
    ui_buf_printf(&line, " in %s", ui_buf_text(&tally->failed_step));
    ui_buf_add(&line, " after ");
    ui_add_seconds(&line, tally->failed_after_s);
  }
  end_line(out);
  add_line(out, screen, UI_ERR, UI_BAD, &line);
  ui_buf_add(out, "\n\n");
  ui_buf_free(&line);
}

/* How things stand now, in words. */
static const char *verdict(const ui_tally *tally, const dr_event *event, int code) {
  if (code == DR_UNDO_FAILED) return "An undo failed too: look at it by hand before the next run";
  if (dr_event_number(event, "begun", 1) <= 0)
    return "Nothing was changed: the run had not begun, this was the look at the world before it";
  if (!was_changed(tally, event)) return "Nothing was changed";
  if (dr_event_count(event, "not_undone") > 0) return "Not everything was undone";
  return tally->undo_count > 0 ? "Everything that has an undo was undone" : "Nothing was undone";
}

static void add_verdict(ui_buf *out, const ui_screen *screen, const ui_tally *tally,
                        const dr_event *event, int code) {
  ui_buf line = UI_BUF_INIT;
  ui_buf_printf(&line, "%s %s ", verdict(tally, event, code), ui_dot(screen));
  ui_add_seconds(&line, dr_event_number(event, "seconds", 0));
  ui_buf_printf(&line, " %s exit status %d", ui_dot(screen), code);
  end_line(out);
  add_line(out, screen, UI_ERR, code == DR_UNDO_FAILED ? UI_BAD : UI_BOLD, &line);
  end_line(out);
  ui_buf_free(&line);
}

void ui_report_failed(ui_screen *screen, const ui_tally *tally, const dr_event *event) {
  ui_buf out = UI_BUF_INIT;
  dr_err err = DR_ERR_INIT;
  ui_error_from_event(&err, event, "error");
  int code = (int)dr_event_number(event, "exit_code", DR_FAILED);
  add_headline(&out, screen, tally, &err);
  if (strcmp(err.message, "interrupted") != 0) {
    add_message(&out, screen, &err);
    end_line(&out);
  }
  add_error_rows(&out, screen, &err);
  add_undo_rows(&out, screen, tally);
  add_skipped_row(&out, screen, tally, event);
  if (was_changed(tally, event)) {
    add_kept_row(&out, screen, tally, event);
    add_availability(&out, screen, UI_ERR, tally);
  }
  add_path_row(&out, screen, "Journal", dr_event_text(event, "journal"));
  add_verdict(&out, screen, tally, event, code);
  ui_put(screen, UI_ERR, &out);
  dr_err_clear(&err);
  ui_buf_free(&out);
}

void ui_report_error(ui_screen *screen, const dr_err *err) {
  ui_buf out = UI_BUF_INIT;
  ui_block block = {.indent = 2, .width = ui_wrap_width(screen, UI_ERR)};
  ui_paint(&out, screen, UI_ERR, UI_BAD, "deployrun: ");
  ui_add_block(&out, err->message, &block);
  end_line(&out);
  if (err->detail != NULL) add_detail(&out, screen, err->detail);
  add_error_rows(&out, screen, err);
  ui_put(screen, UI_ERR, &out);
  ui_buf_free(&out);
}
