/* ui/plan.c - the view of a dry run (plan.h). The library walks the recipe first, which may take a
 * while because facts are asked; a live line says so. Then it tells the whole plan at once. */
#include "plan.h"

#include "fold.h"
#include "terminal.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

enum { KIND_WIDTH = 7, EFFECTS = 4, PREVIEW_INDENT = UI_FOLD_INDENT };

static const char *const effect_names[EFFECTS] = {"change", "downtime", "destructive",
                                                  "irreversible"};
static const ui_style effect_styles[EFFECTS] = {UI_PLAIN, UI_WARN, UI_BAD, UI_BAD};

struct ui_plan {
  const ui_plan_options *options;
  ui_screen *screen;
  bool begun;
  ui_buf params; /* " · dir=/srv/app" */
  size_t steps;
  double ops;
  ui_buf with_effect[EFFECTS]; /* numbers of the ops: "7, 9" */
  double effect_count[EFFECTS];
  ui_buf assumed; /* numbers of the ops whose results are assumed */
  ui_buf unknown; /* numbers of the queries that could not be asked yet */
  ui_buf assumes; /* what the op shown last depends on */
  size_t hidden;  /* queries that are answered and not shown */
  ui_fold *fold;  /* ops of lanes, until the last of them is known */
};

ui_plan *ui_plan_new(const ui_plan_options *options) {
  ui_plan *plan = calloc(1, sizeof *plan);
  if (plan == NULL) return NULL;
  plan->options = options;
  plan->screen = options->screen;
  plan->fold = ui_fold_new();
  if (plan->fold != NULL) return plan;
  free(plan);
  return NULL;
}

void ui_plan_free(ui_plan *plan) {
  if (plan == NULL) return;
  ui_region_clear(plan->screen);
  ui_buf_free(&plan->params);
  for (size_t i = 0; i < EFFECTS; i++) ui_buf_free(&plan->with_effect[i]);
  ui_buf_free(&plan->assumed);
  ui_buf_free(&plan->unknown);
  ui_buf_free(&plan->assumes);
  ui_fold_free(plan->fold);
  free(plan);
}

void ui_plan_pause(ui_plan *plan) {
  ui_region_clear(plan->screen);
}

static void put(ui_plan *plan, ui_buf *out) {
  ui_put(plan->screen, UI_OUT, out);
  ui_buf_free(out);
}

static void add_number(ui_buf *list, double number) {
  ui_buf_printf(list, "%s%.0f", list->length > 0 ? ", " : "", number);
}

/* ------------------------------------------------------------ the head and steps */

/* Notes the params that were typed, with the values that the event has. */
static void on_started(ui_plan *plan, const dr_event *event) {
  for (size_t i = 0; i < plan->options->param_count; i++) {
    ui_buf name = UI_BUF_INIT;
    const char *typed = plan->options->params[i];
    ui_add_clean_bytes(&name, typed, strcspn(typed, "="));
    ui_buf_printf(&plan->params, " %s %s=", ui_dot(plan->screen), ui_buf_text(&name));
    ui_add_param_value(&plan->params, event, ui_buf_text(&name));
    ui_buf_free(&name);
  }
}

/* "Plan of rolling · dir=/srv/app · a dry run: nothing is changed" */
static void begin(ui_plan *plan) {
  if (plan->begun) return;
  plan->begun = true;
  if (plan->options->quiet) return;
  ui_buf out = UI_BUF_INIT;
  ui_buf title = UI_BUF_INIT;
  ui_buf rest = UI_BUF_INIT;
  const char *dot = ui_dot(plan->screen);
  ui_buf_add(&title, "Plan of ");
  ui_add_clean(&title, plan->options->recipe);
  ui_paint(&out, plan->screen, UI_OUT, UI_BOLD, ui_buf_text(&title));
  ui_buf_add(&rest, ui_buf_text(&plan->params));
  ui_buf_printf(&rest, " %s a dry run: nothing is changed", dot);
  ui_block block = {.indent = 2, .width = ui_wrap_width(plan->screen, UI_OUT)};
  ui_add_block(&out, ui_buf_text(&rest), &block);
  ui_buf_add(&out, "\n");
  put(plan, &out);
  ui_buf_free(&title);
  ui_buf_free(&rest);
}

static void add_remark(ui_buf *out, const ui_plan *plan, const char *words) {
  ui_buf remark = UI_BUF_INIT;
  ui_block block = {.indent = 4, .width = ui_wrap_width(plan->screen, UI_OUT)};
  ui_paint(&remark, plan->screen, UI_OUT, UI_DIM, words);
  ui_add_behind(out, ui_buf_text(&remark), &block);
  ui_buf_free(&remark);
}

static void on_step(ui_plan *plan, const dr_event *event) {
  plan->steps++;
  if (plan->options->quiet) return;
  ui_buf out = UI_BUF_INIT;
  ui_buf title = UI_BUF_INIT, wrapped = UI_BUF_INIT;
  int index = (int)dr_event_number(event, "index", 0);
  int depth = (int)dr_event_number(event, "depth", 0);
  ui_buf_add(&out, depth > 0 ? "" : "\n");
  ui_buf_fill(&out, ' ', depth > 0 ? (size_t)depth * 2 : 0);
  if (index > 0) ui_buf_printf(&title, "[%d] ", index);
  if (index <= 0) ui_buf_add(&title, "- ");
  ui_add_clean(&title, dr_event_text(event, "step"));
  size_t indent = depth > 0 ? (size_t)depth * 2 : 0, width = ui_wrap_width(plan->screen, UI_OUT);
  ui_block block = {.indent = indent + 4, .width = width > indent ? width - indent : width};
  ui_add_block(&wrapped, ui_buf_text(&title), &block);
  ui_paint(&out, plan->screen, UI_OUT, UI_BOLD, ui_buf_text(&wrapped));
  ui_buf_free(&wrapped);
  if (dr_event_number(event, "undo", 0) > 0) add_remark(&out, plan, "(has an undo)");
  if (strchr(dr_event_text(event, "lane"), '/') != NULL) add_remark(&out, plan, "(in parallel)");
  ui_buf_add(&out, "\n");
  put(plan, &out);
  ui_buf_free(&title);
}

/* ------------------------------------------------------------ ops */

/* Counts an op's effects and adds them: "[change, downtime]". */
static void add_effects(ui_buf *out, ui_plan *plan, const dr_event *event) {
  double n = dr_event_number(event, "n", 0);
  size_t count = dr_event_count(event, "effects");
  for (size_t i = 0; i < count; i++) {
    char path[32];
    (void)snprintf(path, sizeof path, "effects.%zu", i);
    const char *effect = dr_event_text(event, path);
    ui_style style = UI_PLAIN;
    for (size_t known = 0; known < EFFECTS; known++) {
      if (strcmp(effect, effect_names[known]) != 0) continue;
      style = effect_styles[known];
      plan->effect_count[known]++;
      add_number(&plan->with_effect[known], n);
    }
    ui_buf_add(out, i == 0 ? "[" : ", ");
    ui_paint(out, plan->screen, UI_OUT, style, effect);
  }
  if (count > 0) ui_buf_add(out, "]");
}

static ui_style kind_style(const char *kind) {
  if (strcmp(kind, "action") == 0) return UI_NOTE;
  return strcmp(kind, "query") == 0 ? UI_DIM : UI_PLAIN;
}

/* "action  compose.run" */
static void add_what(ui_buf *out, const ui_plan *plan, const dr_event *event) {
  ui_buf kind = UI_BUF_INIT;
  ui_add_padded(&kind, dr_event_text(event, "kind"), KIND_WIDTH);
  ui_paint(out, plan->screen, UI_OUT, kind_style(dr_event_text(event, "kind")), ui_buf_text(&kind));
  ui_buf_add(out, " ");
  ui_add_clean(out, dr_event_text(event, "op"));
  ui_buf_free(&kind);
}

/* A line below an op; `spelled` for what will be done, cleaned for what is said about it. */
static void add_below(ui_buf *out, const ui_plan *plan, size_t indent, const char *text,
                      bool spelled) {
  if (*text == '\0') return;
  ui_block block = {
      .indent = indent, .width = ui_wrap_width(plan->screen, UI_OUT), .spelled = spelled};
  ui_buf_fill(out, ' ', indent);
  ui_add_block(out, text, &block);
  ui_buf_add(out, "\n");
}

/* "depends on the assumed result of 3, 5"; said once for ops of a lane in a row that depend on
 * the same. */
static void add_assumes(ui_buf *out, ui_plan *plan, const dr_event *event, size_t indent) {
  size_t count = dr_event_count(event, "assumes");
  if (count == 0) return;
  ui_buf text = UI_BUF_INIT;
  ui_buf_printf(&text, "%s\n", dr_event_text(event, "lane"));
  size_t lane = text.length;
  for (size_t i = 0; i < count; i++) {
    char path[32];
    (void)snprintf(path, sizeof path, "assumes.%zu", i);
    ui_buf_add(&text, i == 0 ? "depends on the assumed result of " : ", ");
    ui_buf_printf(&text, "%.0f", dr_event_number(event, path, 0));
  }
  if (strcmp(ui_buf_text(&text), ui_buf_text(&plan->assumes)) != 0)
    add_below(out, plan, indent, ui_buf_text(&text) + (text.failed ? text.length : lane), false);
  ui_buf_free(&plan->assumes);
  plan->assumes = text;
}

static void add_remarks(ui_buf *out, ui_plan *plan, const dr_event *event, size_t indent) {
  double n = dr_event_number(event, "n", 0);
  add_assumes(out, plan, event, indent);
  bool unknown = dr_event_number(event, "unknown", 0) > 0;
  if (dr_event_number(event, "assumed", 0) > 0) {
    add_number(&plan->assumed, n);
    if (!unknown)
      add_below(out, plan, indent, "its result is assumed here: it is not known before it is done",
                false);
  }
  if (unknown) {
    add_number(&plan->unknown, n);
    add_below(out, plan, indent, "unknown until then: an action above changes what this reads",
              false);
  }
  if (plan->options->verbose) add_below(out, plan, indent, dr_event_text(event, "where"), false);
}

/* Prints the ops that wait for their like in other lanes. */
static void flush(ui_plan *plan) {
  ui_buf out = UI_BUF_INIT;
  ui_fold_flush(plan->fold, &out, plan->screen);
  if (plan->options->quiet) ui_buf_reset(&out);
  if (out.length > 0) put(plan, &out);
  ui_buf_free(&out);
}

/* "   5  action  compose.run on local  [change]" and what stands below; kept as long as ops of
 * lanes beside its own may follow. With -v each op is shown by itself. */
static void on_op(ui_plan *plan, const dr_event *event) {
  ui_buf what = UI_BUF_INIT, target = UI_BUF_INIT, effects = UI_BUF_INIT, body = UI_BUF_INIT;
  double depth = dr_event_number(event, "depth", 0);
  size_t indent = depth > 1 ? (size_t)(depth - 1) * 2 : 0;
  const char *lane = dr_event_text(event, "lane");
  plan->ops++;
  if (dr_event_number(event, "done", 0) > 0 && !plan->options->verbose) {
    plan->hidden++;
    return;
  }
  if (!ui_fold_fits(plan->fold, lane)) flush(plan);
  add_what(&what, plan, event);
  ui_add_clean(&target, dr_event_text(event, "target"));
  add_effects(&effects, plan, event);
  add_below(&body, plan, indent + PREVIEW_INDENT, dr_event_text(event, "preview"), true);
  add_remarks(&body, plan, event, indent + PREVIEW_INDENT);
  ui_fold_op op = {.number = dr_event_number(event, "n", 0),
                   .indent = indent,
                   .lane = dr_event_text(event, "lane"),
                   .target = ui_buf_text(&target),
                   .what = ui_buf_text(&what),
                   .effects = ui_buf_text(&effects),
                   .body = ui_buf_text(&body)};
  (void)ui_fold_add(plan->fold, &op);
  if (plan->options->verbose || strchr(op.lane, '/') == NULL) flush(plan);
  ui_buf_free(&what);
  ui_buf_free(&target);
  ui_buf_free(&effects);
  ui_buf_free(&body);
}

/* ------------------------------------------------------------ the end */

/* "14 ops: 9 actions, 2 checks, 3 queries" */
static void add_totals(ui_buf *out, const ui_plan *plan, const dr_event *event) {
  ui_buf text = UI_BUF_INIT;
  ui_add_counted(&text, (double)plan->steps, "step", "steps");
  ui_buf_add(&text, ", ");
  ui_add_counted(&text, plan->ops, "op", "ops");
  ui_buf_add(&text, ": ");
  ui_add_counted(&text, dr_event_number(event, "actions", 0), "action", "actions");
  ui_buf_add(&text, ", ");
  ui_add_counted(&text, dr_event_number(event, "checks", 0), "check", "checks");
  ui_buf_add(&text, ", ");
  ui_add_counted(&text, dr_event_number(event, "queries", 0), "query", "queries");
  ui_buf wrapped = UI_BUF_INIT, hidden = UI_BUF_INIT;
  ui_block block = {.indent = 2, .width = ui_wrap_width(plan->screen, UI_OUT)};
  ui_add_block(&wrapped, ui_buf_text(&text), &block);
  ui_paint(out, plan->screen, UI_OUT, UI_BOLD, ui_buf_text(&wrapped));
  ui_buf_printf(&hidden, "(%zu answered already, shown with -v)", plan->hidden);
  if (plan->hidden > 0) ui_add_behind(out, ui_buf_text(&hidden), &block);
  if (ui_fold_saved(plan->fold) > 0)
    ui_add_behind(out, "(equal ones are one line, each shown with -v)", &block);
  ui_buf_add(out, "\n");
  ui_buf_free(&text);
  ui_buf_free(&wrapped);
  ui_buf_free(&hidden);
}

static void add_numbers(ui_buf *out, const ui_plan *plan, const char *before, const ui_buf *list) {
  ui_block block = {.indent = 16, .width = ui_wrap_width(plan->screen, UI_OUT)};
  ui_buf_add(out, before);
  ui_add_block(out, ui_buf_text(list), &block);
}

/* "  downtime      2: 7, 9"; of plain changes only how many. */
static void add_effect_totals(ui_buf *out, const ui_plan *plan) {
  for (size_t i = 0; i < EFFECTS; i++) {
    if (plan->effect_count[i] <= 0) continue;
    ui_buf name = UI_BUF_INIT;
    ui_add_padded(&name, effect_names[i], 14);
    ui_buf_add(out, "  ");
    ui_paint(out, plan->screen, UI_OUT, effect_styles[i], ui_buf_text(&name));
    ui_add_count(out, plan->effect_count[i]);
    if (i > 0) add_numbers(out, plan, ": ", &plan->with_effect[i]);
    ui_buf_add(out, "\n");
    ui_buf_free(&name);
  }
  if (plan->assumed.length > 0) {
    add_numbers(out, plan, "  assumed       the result of ", &plan->assumed);
    ui_buf_add(out, "\n");
  }
  if (plan->unknown.length > 0) {
    add_numbers(out, plan, "  unknown       the answer to ", &plan->unknown);
    ui_buf_add(out, "\n");
  }
}

static void on_finished(ui_plan *plan, const dr_event *event) {
  ui_buf out = UI_BUF_INIT;
  if (!plan->options->quiet) ui_buf_add(&out, "\n");
  add_totals(&out, plan, event);
  add_effect_totals(&out, plan);
  put(plan, &out);
}

/* The walk is over. When it failed, what is shown is the plan up to there, and the command tells
 * the error. */
static void on_walked(ui_plan *plan, const dr_event *event) {
  ui_buf out = UI_BUF_INIT;
  if (dr_event_number(event, "exit_code", DR_FAILED) > 0) {
    if (plan->begun)
      ui_buf_add(&out, "This plan is not whole: it ends where the following happened.\n\n");
    put(plan, &out);
    return;
  }
  ui_paint(&out, plan->screen, UI_OUT, UI_GOOD, "Nothing was changed.");
  ui_block block = {.indent = 2, .width = ui_wrap_width(plan->screen, UI_OUT)};
  ui_add_block(&out, " To do it, give the same command without --dry-run.", &block);
  ui_buf_add(&out, "\n");
  put(plan, &out);
}

static void on_log(ui_plan *plan, const dr_event *event) {
  if (plan->options->quiet) return;
  ui_buf out = UI_BUF_INIT;
  ui_block block = {.indent = 2, .width = ui_wrap_width(plan->screen, UI_OUT)};
  bool warning = strcmp(dr_event_text(event, "level"), "warn") == 0;
  ui_buf_add(&out, "  ");
  if (warning) ui_paint(&out, plan->screen, UI_OUT, UI_WARN, "warning: ");
  ui_add_block(&out, dr_event_text(event, "message"), &block);
  ui_buf_add(&out, "\n");
  put(plan, &out);
}

/* "Looking, nothing is changed … 2.1 s" */
static void on_tick(ui_plan *plan, const dr_event *event) {
  if (plan->options->quiet) return;
  ui_buf text = UI_BUF_INIT;
  ui_buf_printf(&text, "Looking at the facts, nothing is changed %s ", ui_dots(plan->screen));
  ui_add_seconds(&text, dr_event_number(event, "seconds", 0));
  ui_region_line line = {ui_buf_text(&text), UI_DIM};
  ui_region_draw(plan->screen, &line, 1);
  ui_buf_free(&text);
}

void ui_plan_event(const dr_event *event, void *data) {
  ui_plan *plan = data;
  dr_event_type type = dr_event_kind(event);
  if (type == DR_EVENT_PLAN_STEP || type == DR_EVENT_PLAN_OP || type == DR_EVENT_LOG) begin(plan);
  if (type != DR_EVENT_PLAN_OP && type != DR_EVENT_TICK) flush(plan);
  switch (type) {
  case DR_EVENT_RUN_STARTED: on_started(plan, event); break;
  case DR_EVENT_PLAN_STEP: on_step(plan, event); break;
  case DR_EVENT_PLAN_OP: on_op(plan, event); break;
  case DR_EVENT_PLAN_FINISHED: on_finished(plan, event); break;
  case DR_EVENT_RUN_FINISHED: on_walked(plan, event); break;
  case DR_EVENT_LOG: on_log(plan, event); break;
  case DR_EVENT_TICK: on_tick(plan, event); break;
  default: break;
  }
}
