/* cli/run.c - `deployrun RECIPE`: loads it, gives it its params, then runs it or shows its plan. */
#include "cli.h"

#include "../ui/ask.h"
#include "../ui/jsonl.h"
#include "../ui/plan.h"
#include "../ui/report.h"
#include "../ui/terminal.h"
#include "signals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SENTENCE = 70 }; /* columns that what is said at Ctrl-C takes */

/* One of the three views is told the events. */
typedef struct runner {
  const cli_args *args;
  ui_screen *screen;
  dr_runtime *rt;
  ui_view *view;
  ui_plan *plan;
  ui_plan_options plan_options;
  ui_shown_param *shown;
  size_t shown_count;
  ui_jsonl_pace pace;
  bool finished; /* RUN_FINISHED was told: with --json the error needs no line of its own */
} runner;

/* The library keeps one observer for the runtime's whole life, but the view needs what is known
 * only after loading; so this stands between them. */
static void on_event(const dr_event *event, void *data) {
  runner *s = data;
  if (dr_event_kind(event) == DR_EVENT_RUN_FINISHED) s->finished = true;
  if (s->args->json) {
    int64_t now = s->screen->clock_ms(s->screen->data);
    if (ui_jsonl_due(&s->pace, event, now)) ui_jsonl_event(event, s->screen);
  } else if (s->plan != NULL) {
    ui_plan_event(event, s->plan);
  } else if (s->view != NULL) {
    ui_view_event(event, s->view);
  }
}

static void pause_view(void *data) {
  runner *s = data;
  if (s->plan != NULL) ui_plan_pause(s->plan);
  if (s->view != NULL) ui_view_pause(s->view);
}

/* ------------------------------------------------------------ before the run */

/* Gives one "key=value". */
static int set_param(dr_runtime *rt, const char *word, dr_err *err) {
  size_t length = strcspn(word, "=");
  char *name = strndup(word, length);
  if (name == NULL) {
    snprintf(err->code, sizeof err->code, "out_of_memory");
    snprintf(err->message, sizeof err->message, "not enough memory");
    return DR_FAILED;
  }
  int status = dr_set(rt, name, word + length + 1, err);
  free(name);
  return status;
}

/* Files first, then the command line, so that what was typed last wins. Every wrong param is told,
 * not only the first. */
static int set_all(runner *s) {
  const cli_args *args = s->args;
  dr_err err = DR_ERR_INIT;
  int status = DR_OK;
  for (size_t i = 0; i < args->env_files.count; i++) {
    int one = dr_env_file(s->rt, args->env_files.items[i], &err);
    if (one != DR_OK) status = cli_error(args, s->screen, &err, one);
  }
  for (size_t i = 0; i < args->set_files.count; i++) {
    int one = dr_set_file(s->rt, args->set_files.items[i], &err);
    if (one != DR_OK) status = cli_error(args, s->screen, &err, one);
  }
  for (size_t i = 0; i < args->params.count; i++) {
    int one = set_param(s->rt, args->params.items[i], &err);
    if (one != DR_OK) status = cli_error(args, s->screen, &err, one);
  }
  return status;
}

/* "deployrun lsit": the library knows recipes, not commands. */
static void hint_command(const cli_args *args, dr_err *err) {
  const char *near = cli_near_command(args->recipes.items[0]);
  if (near == NULL || strncmp(err->code, "usage.", 6) != 0) return;
  snprintf(err->hint, sizeof err->hint, "did you mean `deployrun %s`?", near);
}

static int prepare(runner *s, const dr_options *options) {
  dr_err err = DR_ERR_INIT;
  int status = dr_runtime_new(&s->rt, options, &err);
  if (status != DR_OK) return cli_error(s->args, s->screen, &err, status);
  status = dr_load(s->rt, s->args->recipes.items[0], &err);
  if (status == DR_OK) return set_all(s);
  hint_command(s->args, &err);
  return cli_error(s->args, s->screen, &err, status);
}

/* ------------------------------------------------------------ views */

static void read_shown_params(runner *s) {
  dr_param param;
  size_t count = 0;
  while (dr_recipe_param(s->rt, count, &param)) count++;
  s->shown = calloc(count + 1, sizeof *s->shown);
  if (s->shown == NULL) return;
  for (size_t i = 0; i < count && dr_recipe_param(s->rt, i, &param); i++) {
    s->shown[i] = (ui_shown_param){.name = param.name, .initial = param.initial};
  }
  s->shown_count = count;
}

static void make_view(runner *s) {
  if (s->args->json) return;
  if (s->args->dry_run) {
    s->plan_options = (ui_plan_options){
        .screen = s->screen,
        .recipe = s->args->recipes.items[0],
        .params = s->args->params.items,
        .param_count = s->args->params.count,
        .verbose = s->args->loudness == UI_VERBOSE,
        .quiet = s->args->loudness == UI_QUIET,
    };
    s->plan = ui_plan_new(&s->plan_options);
    return;
  }
  read_shown_params(s);
  ui_view_options options = {
      .screen = s->screen,
      .loudness = s->args->loudness,
      .params = s->shown,
      .param_count = s->shown_count,
  };
  s->view = ui_view_new(&options);
}

/* ------------------------------------------------------------ the run */

/* Tells the error of a run or plan, unless a view has: the run could not begin, or the plan is not
 * whole. */
static void tell_error(runner *s, const dr_err *err, int status) {
  if (s->view != NULL && ui_view_ended(s->view)) return;
  pause_view(s);
  if (s->args->json && !s->finished) ui_jsonl_error(s->screen, err, status);
  ui_report_error(s->screen, err);
  ui_buf line = UI_BUF_INIT;
  if (s->args->dry_run || !s->finished) ui_buf_add(&line, "Nothing was changed.\n");
  ui_put(s->screen, UI_ERR, &line);
  ui_buf_free(&line);
}

static cli_signal_options signal_options(const runner *s) {
  bool live = s->screen->live && !s->args->json && s->args->loudness != UI_QUIET;
  bool err_is_terminal = s->screen->wrap[UI_ERR];
  return (cli_signal_options){
      .fd = live && !err_is_terminal ? STDOUT_FILENO : STDERR_FILENO,
      .terminal = live || err_is_terminal,
      .rows = live ? &s->screen->region_rows : NULL,
      .dry_run = s->args->dry_run,
      .narrow = (live || err_is_terminal) && s->screen->columns(s->screen->data) < SENTENCE,
  };
}

static int walk(runner *s) {
  dr_err err = DR_ERR_INIT;
  cli_signal_options signals = signal_options(s);
  make_view(s);
  cli_signals_begin(s->rt, &signals);
  int status = s->args->dry_run ? dr_plan(s->rt, &err) : dr_run(s->rt, &err);
  cli_signals_end();
  if (status != DR_OK) tell_error(s, &err, status);
  dr_err_clear(&err);
  return status;
}

int cli_run(const cli_args *args, ui_screen *screen) {
  runner s = {.args = args, .screen = screen};
  ui_ask_options ask = {.pause = pause_view, .view = &s, .interrupts = &cli_interrupts};
  dr_options options = DR_OPTIONS_INIT;
  options.observer = on_event;
  options.observer_data = &s;
  options.asker = ui_ask;
  options.asker_data = &ask;
  screen->intrusions = &cli_interrupts;
  int status = prepare(&s, &options);
  if (status == DR_OK) status = walk(&s);
  ui_view_free(s.view);
  ui_plan_free(s.plan);
  s.view = NULL;
  s.plan = NULL;
  dr_runtime_free(s.rt);
  free(s.shown);
  return status;
}
