/* ui/terminal.c - the run view (terminal.h): which line each event becomes.
 *
 * A step's line is written when the step ends, so that a quick step is one line. It is written
 * beforehand too, as a heading, when something must stand under it (a nested step, a message, -v)
 * or, where nothing can be redrawn, when the step takes long. Live lines are redrawn at most ten
 * times a second.
 */
#include "terminal.h"

#include "live.h"
#include "report.h"
#include "tally.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

enum { REDRAW_MS = 80, LONG_STEP_MS = 3000, PARAM_WIDTH = 48, REASON_WIDTH = 200, SLOW_OP_S = 1 };

struct ui_view {
  ui_view_options options;
  ui_screen *screen;
  ui_live live;
  ui_tally tally;
  bool begun;
  bool ended;
  int64_t drawn_ms;
  size_t host_width; /* of the longest host's name, once several were at work at the same time */
};

ui_view *ui_view_new(const ui_view_options *options) {
  ui_view *view = calloc(1, sizeof *view);
  if (view == NULL) return NULL;
  view->options = *options;
  view->screen = options->screen;
  return view;
}

void ui_view_free(ui_view *view) {
  if (view == NULL) return;
  ui_region_clear(view->screen);
  ui_live_free(&view->live);
  ui_tally_free(&view->tally);
  free(view);
}

bool ui_view_ended(const ui_view *view) {
  return view->ended;
}

static bool quiet(const ui_view *view) {
  return view->options.loudness == UI_QUIET;
}

static bool verbose(const ui_view *view) {
  return view->options.loudness == UI_VERBOSE;
}

static int64_t now_ms(const ui_view *view) {
  return view->screen->clock_ms(view->screen->data);
}

static void put(ui_view *view, ui_buf *line) {
  ui_buf_add(line, "\n");
  ui_put(view->screen, UI_OUT, line);
  ui_buf_free(line);
}

/* ------------------------------------------------------------ the run */

void ui_add_param_value(ui_buf *out, const dr_event *event, const char *name) {
  ui_buf path = UI_BUF_INIT;
  ui_buf_printf(&path, "params.%s", name);
  size_t count = dr_event_count(event, ui_buf_text(&path));
  if (count == 0) {
    const char *text = dr_event_text(event, ui_buf_text(&path));
    size_t length = strlen(text), whole = length > 2 ? length - 2 : length;
    bool number = dr_event_number(event, ui_buf_text(&path), -1) >= 0;
    if (number && strcmp(text + whole, ".0") == 0) length = whole; /* "25.0" was typed as 25s */
    ui_add_clean_bytes(out, text, length);
  }
  for (size_t i = 0; i < count; i++) {
    ui_buf_reset(&path);
    ui_buf_printf(&path, "params.%s.%zu", name, i);
    if (i > 0) ui_buf_add(out, ",");
    ui_add_clean(out, dr_event_text(event, ui_buf_text(&path)));
  }
  ui_buf_free(&path);
}

/* Whether two values are the same, as text or as numbers ("60" and "60.0"). */
static bool same_value(const char *a, const char *b) {
  if (strcmp(a, b) == 0) return true;
  char *a_end;
  char *b_end;
  double x = strtod(a, &a_end);
  double y = strtod(b, &b_end);
  bool numbers = a_end != a && b_end != b && *a_end == '\0' && *b_end == '\0';
  return numbers && !(x < y) && !(x > y);
}

/* " · dir=/srv/app": the params whose values are not the defaults. */
static void add_params(ui_buf *line, const ui_view *view, const dr_event *event) {
  for (size_t i = 0; i < view->options.param_count; i++) {
    const ui_shown_param *param = &view->options.params[i];
    ui_buf value = UI_BUF_INIT;
    ui_add_param_value(&value, event, param->name);
    if (!same_value(ui_buf_text(&value), param->initial != NULL ? param->initial : "")) {
      ui_buf_printf(line, " %s %s=", ui_dot(view->screen), param->name);
      ui_add_cut(line, ui_buf_text(&value), PARAM_WIDTH, ui_dots(view->screen));
    }
    ui_buf_free(&value);
  }
}

static void on_run_started(ui_view *view, const dr_event *event) {
  view->begun = true;
  if (quiet(view)) return;
  ui_buf text = UI_BUF_INIT;
  ui_buf line = UI_BUF_INIT;
  ui_buf name = UI_BUF_INIT;
  ui_add_clean(&name, dr_event_text(event, "recipe"));
  ui_paint(&line, view->screen, UI_OUT, UI_BOLD, ui_buf_text(&name));
  add_params(&text, view, event);
  ui_buf_printf(&text, " %s run ", ui_dot(view->screen));
  ui_add_clean(&text, dr_event_text(event, "run"));
  const char *journal = dr_event_text(event, "journal");
  if (verbose(view) && *journal != '\0') ui_buf_printf(&text, "\njournal %s", journal);
  ui_block block = {.indent = 2, .width = ui_wrap_width(view->screen, UI_OUT)};
  ui_add_block(&line, ui_buf_text(&text), &block);
  put(view, &line);
  ui_buf_free(&text);
  ui_buf_free(&name);
}

static void on_run_finished(ui_view *view, const dr_event *event) {
  ui_live_all_ended(&view->live);
  view->ended = true;
  int code = (int)dr_event_number(event, "exit_code", DR_FAILED);
  if (code == DR_OK) {
    ui_report_done(view->screen, &view->tally, event, quiet(view));
  } else {
    ui_report_failed(view->screen, &view->tally, event);
  }
}

/* ------------------------------------------------------------ steps */

/* Writes "[3/8] Migrate …" once for a step and for those that enclose it, because something comes
 * below. */
static void head(ui_view *view, ui_step *step) {
  if (quiet(view) || step == NULL || step->headed) return;
  step->headed = true;
  ui_buf line = UI_BUF_INIT;
  ui_live_add_title(&line, step);
  ui_buf_printf(&line, " %s", ui_dots(view->screen));
  put(view, &line);
}

/* The same for an undo: "Undo  Replace api …". */
static void head_undo(ui_view *view) {
  if (quiet(view) || view->live.undo == NULL || view->live.undo_headed) return;
  view->live.undo_headed = true;
  ui_buf line = UI_BUF_INIT;
  ui_paint(&line, view->screen, UI_OUT, UI_WARN, "Undo  ");
  ui_buf_printf(&line, "%s %s", view->live.undo, ui_dots(view->screen));
  put(view, &line);
}

/* Heads every step under way that encloses `lane` (all of its own lane and of the lanes around it).
 */
static void head_lane(ui_view *view, const char *lane) {
  head_undo(view);
  for (size_t i = 0; i < view->live.step_count; i++) {
    ui_step *step = &view->live.steps[i];
    size_t length = step->lane != NULL ? strlen(step->lane) : 0;
    if (length == 0 || strncmp(step->lane, lane, length) == 0) head(view, step);
  }
}

void ui_view_pause(ui_view *view) {
  head_lane(view, "main");
  ui_region_clear(view->screen);
}

static void on_step_started(ui_view *view, const dr_event *event) {
  head_lane(view, dr_event_text(event, "lane"));
  if (dr_event_number(event, "depth", 0) <= 0) view->host_width = 0;
  ui_live_step_began(&view->live, event, now_ms(view));
}

static void on_step_finished(ui_view *view, const dr_event *event) {
  ui_step *step = ui_live_step(&view->live, event);
  if (step != NULL && !quiet(view)) {
    ui_buf line = UI_BUF_INIT;
    ui_live_add_title(&line, step);
    ui_buf_printf(&line, " %s ", ui_dots(view->screen));
    ui_buf time = UI_BUF_INIT;
    ui_add_seconds(&time, dr_event_number(event, "seconds", 0));
    ui_paint(&line, view->screen, UI_OUT, UI_GOOD, ui_buf_text(&time));
    ui_buf_free(&time);
    put(view, &line);
  }
  ui_live_step_ended(&view->live, step);
}

/* Adds a second line that says why, cut to one line: the report at the end has it whole. */
static void add_reason(ui_buf *line, const ui_view *view, const dr_event *event) {
  size_t width = ui_wrap_width(view->screen, UI_OUT);
  ui_buf reason = UI_BUF_INIT;
  ui_add_clean(&reason, dr_event_text(event, "message"));
  ui_buf_add(line, "\n      ");
  ui_add_cut(line, ui_buf_text(&reason), width > 0 ? width - 7 : REASON_WIDTH,
             ui_dots(view->screen));
  ui_buf_free(&reason);
}

/* "[3/8] Migrate … failed after 4.1 s", and why, unless the step inside of it has said so. */
static void on_step_failed(ui_view *view, const dr_event *event, bool said) {
  ui_step *step = ui_live_step(&view->live, event);
  bool cancelled = strcmp(dr_event_text(event, "code"), "cancelled") == 0;
  if (step != NULL && !quiet(view)) {
    ui_buf line = UI_BUF_INIT;
    ui_buf rest = UI_BUF_INIT;
    ui_live_add_title(&line, step);
    ui_buf_printf(&line, " %s ", ui_dots(view->screen));
    ui_buf_add(&rest, cancelled ? "stopped after " : "failed after ");
    ui_add_seconds(&rest, dr_event_number(event, "seconds", 0));
    ui_paint(&line, view->screen, UI_OUT, cancelled ? UI_WARN : UI_BAD, ui_buf_text(&rest));
    if (!cancelled && !said) add_reason(&line, view, event);
    put(view, &line);
    ui_buf_free(&rest);
  }
  ui_live_step_ended(&view->live, step);
}

/* Where nothing is redrawn, a step that takes long says that it began. */
static void head_long_steps(ui_view *view) {
  if (view->screen->live || quiet(view)) return;
  if (view->live.undo != NULL && now_ms(view) - view->live.undo_began_ms >= LONG_STEP_MS) {
    head_undo(view);
  }
  for (size_t i = 0; i < view->live.step_count; i++) {
    ui_step *step = &view->live.steps[i];
    if (now_ms(view) - step->began_ms >= LONG_STEP_MS) head(view, step);
  }
}

/* ------------------------------------------------------------ ops and messages */

/* The spaces before what belongs to a lane's innermost step. */
static void add_indent(ui_buf *line, ui_view *view, const char *lane) {
  const ui_step *step = ui_live_lane_step(&view->live, lane);
  ui_buf_fill(line, ' ', step != NULL && step->depth > 0 ? (size_t)step->depth * 2 : 0);
  ui_buf_add(line, step != NULL || view->live.undo != NULL ? "      " : "  ");
}

/* Notes how wide the names are when several hosts are at work, so that what they say stands in one
 * column. */
static void note_hosts(ui_view *view) {
  const ui_live *live = &view->live;
  bool several = view->host_width > 0;
  size_t widest = view->host_width;
  for (size_t i = 0; i < live->op_count; i++) {
    const char *target = live->ops[i].target, *first = live->ops[0].target;
    size_t width = target != NULL ? ui_text_width(target) : 0;
    several = several || (target != NULL && first != NULL && strcmp(target, first) != 0);
    if (width > widest) widest = width;
  }
  if (several) view->host_width = widest;
}

/* -v: "      > compose.build on local: docker-compose build" */
static void on_op_started(ui_view *view, const dr_event *event) {
  ui_live_op_began(&view->live, event, now_ms(view));
  if (!verbose(view)) return;
  note_hosts(view);
  const ui_op *op = ui_live_op(&view->live, event);
  if (op == NULL || op->lane == NULL) return;
  head_lane(view, op->lane);
  ui_buf line = UI_BUF_INIT;
  add_indent(&line, view, op->lane);
  ui_block block = {.indent = line.length + 2, .width = ui_wrap_width(view->screen, UI_OUT)};
  ui_buf text = UI_BUF_INIT;
  ui_buf_add(&text, op->name != NULL ? op->name : "");
  if (op->target != NULL && *op->target != '\0') ui_buf_printf(&text, " on %s", op->target);
  ui_buf_printf(&text, ": %s", dr_event_text(event, "preview"));
  ui_paint(&line, view->screen, UI_OUT, UI_NOTE, "> ");
  block.spelled = true;
  ui_add_block(&line, ui_buf_text(&text), &block);
  put(view, &line);
  ui_buf_free(&text);
}

/* -v: "      compose.build took 12.1 s" or "… failed after 12.1 s"; why is said by the step. */
static void on_op_ended(ui_view *view, const dr_event *event, bool failed) {
  const ui_op *op = ui_live_op(&view->live, event);
  double seconds = dr_event_number(event, "seconds", 0);
  if (verbose(view) && op != NULL && op->lane != NULL && (failed || seconds >= SLOW_OP_S)) {
    ui_buf line = UI_BUF_INIT;
    add_indent(&line, view, op->lane);
    ui_buf_printf(&line, "  %s %s ", op->name != NULL ? op->name : "",
                  failed ? "failed after" : "took");
    ui_add_seconds(&line, seconds);
    put(view, &line);
  }
  ui_live_op_ended(&view->live, event);
}

/* A host keeps its colour for the whole run, and in the next one. */
static ui_style host_style(const char *name) {
  unsigned sum = 0;
  while (*name != '\0') sum = sum * 31 + (unsigned char)*name++;
  return (ui_style)(UI_HOST + sum % (UI_STYLES - UI_HOST));
}

/* -v: "        local | Collecting django"; of several hosts the names are aligned, and coloured. */
static void on_output(ui_view *view, const dr_event *event) {
  ui_live_op_said(&view->live, event, "line", now_ms(view));
  if (!verbose(view)) return;
  ui_buf line = UI_BUF_INIT, name = UI_BUF_INIT, prefix = UI_BUF_INIT;
  add_indent(&line, view, ui_live_lane(&view->live, event));
  ui_add_clean(&name, dr_event_text(event, "target"));
  ui_add_padded(&prefix, ui_buf_text(&name), view->host_width);
  ui_buf_add(&prefix, prefix.length > 0 ? " | " : "| ");
  ui_buf_add(&line, "  ");
  ui_style style = view->host_width > 0 ? host_style(ui_buf_text(&name)) : UI_DIM;
  ui_paint(&line, view->screen, UI_OUT, style, ui_buf_text(&prefix));
  ui_add_clean(&line, dr_event_text(event, "line"));
  put(view, &line);
  ui_buf_free(&name);
  ui_buf_free(&prefix);
}

/* What the recipe says with log() and warn(). Heads the steps, so that it stands below the step it
 * belongs to. Of these only the hosts that failed in a run that ended well are for quiet too. */
static void on_log(ui_view *view, const dr_event *event) {
  bool warning = strcmp(dr_event_text(event, "level"), "warn") == 0;
  if (quiet(view) && dr_event_count(event, "failed") == 0) return;
  const char *lane = dr_event_text(event, "lane");
  ui_buf line = UI_BUF_INIT;
  if (*lane == '\0') lane = "main";
  head_lane(view, lane);
  add_indent(&line, view, lane);
  ui_block block = {.indent = line.length, .width = ui_wrap_width(view->screen, UI_OUT)};
  if (warning) ui_paint(&line, view->screen, UI_OUT, UI_WARN, "warning: ");
  ui_add_block(&line, dr_event_text(event, "message"), &block);
  put(view, &line);
}

/* ------------------------------------------------------------ undo */

static void on_undo_started(ui_view *view, const dr_event *event) {
  ui_buf name = UI_BUF_INIT;
  ui_add_clean(&name, dr_event_text(event, "step"));
  free(view->live.undo);
  view->live.undo = strdup(ui_buf_text(&name));
  view->live.undo_began_ms = now_ms(view);
  view->live.undo_headed = false;
  ui_buf_free(&name);
}

static void on_undo_ended(ui_view *view, const dr_event *event, bool failed) {
  free(view->live.undo);
  view->live.undo = NULL;
  if (quiet(view)) return;
  ui_buf line = UI_BUF_INIT;
  ui_buf rest = UI_BUF_INIT;
  ui_paint(&line, view->screen, UI_OUT, UI_WARN, "Undo  ");
  ui_add_clean(&line, dr_event_text(event, "step"));
  ui_buf_printf(&line, " %s ", ui_dots(view->screen));
  if (failed) ui_buf_add(&rest, "failed after ");
  ui_add_seconds(&rest, dr_event_number(event, "seconds", 0));
  ui_paint(&line, view->screen, UI_OUT, failed ? UI_BAD : UI_GOOD, ui_buf_text(&rest));
  if (failed) add_reason(&line, view, event);
  put(view, &line);
  ui_buf_free(&rest);
}

/* ------------------------------------------------------------ all */

/* Redraws the live lines, unless they were drawn a moment ago: a tick comes soon. */
static void redraw(ui_view *view, bool tick) {
  int64_t now = now_ms(view);
  if (view->ended || quiet(view) || !view->screen->live) return;
  if (!tick && now - view->drawn_ms < REDRAW_MS) return;
  view->drawn_ms = now;
  if (tick) view->live.frame++;
  ui_live_draw(&view->live, view->screen,
               view->begun ? "Working" : "Checking first, nothing is changed yet");
}

static void dispatch(ui_view *view, const dr_event *event, bool said) {
  switch (dr_event_kind(event)) {
  case DR_EVENT_RUN_STARTED: on_run_started(view, event); break;
  case DR_EVENT_RUN_FINISHED: on_run_finished(view, event); break;
  case DR_EVENT_STEP_STARTED: on_step_started(view, event); break;
  case DR_EVENT_STEP_FINISHED: on_step_finished(view, event); break;
  case DR_EVENT_STEP_FAILED: on_step_failed(view, event, said); break;
  case DR_EVENT_OP_STARTED: on_op_started(view, event); break;
  case DR_EVENT_OP_FINISHED: on_op_ended(view, event, false); break;
  case DR_EVENT_OP_FAILED: on_op_ended(view, event, true); break;
  case DR_EVENT_OUTPUT: on_output(view, event); break;
  case DR_EVENT_PROGRESS: ui_live_op_said(&view->live, event, "message", now_ms(view)); break;
  case DR_EVENT_LOG: on_log(view, event); break;
  case DR_EVENT_UNDO_STARTED: on_undo_started(view, event); break;
  case DR_EVENT_UNDO_FINISHED: on_undo_ended(view, event, false); break;
  case DR_EVENT_UNDO_FAILED: on_undo_ended(view, event, true); break;
  case DR_EVENT_TICK: head_long_steps(view); break;
  default: break;
  }
}

void ui_view_event(const dr_event *event, void *data) {
  ui_view *view = data;
  bool said =
      strcmp(dr_event_text(event, "message"), ui_buf_text(&view->tally.failed_message)) == 0;
  if (view->live.began_ms == 0) view->live.began_ms = now_ms(view);
  ui_tally_event(&view->tally, event, ui_arrow(view->screen));
  dispatch(view, event, said);
  redraw(view, dr_event_kind(event) == DR_EVENT_TICK);
}
