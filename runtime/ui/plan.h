/* ui/plan.h - the view of a dry run: a plan that a colleague can review on paper.
 *
 *   [3/8] Migrate
 *      5  action  compose.run on local  [change]
 *                 docker-compose -f /srv/app/docker-compose.yml run --rm api python manage.py
 * migrate depends on the assumed result of 4
 *
 * Every op in order, its preview whole: wrapped on a terminal, never cut, control characters
 * spelled out. Made by cli/run.c, given to the library as its observer for dr_plan(). Main thread.
 */
#ifndef UI_PLAN_H
#define UI_PLAN_H

#include "screen.h"

#include <deployrun.h>

typedef struct ui_plan_options {
  ui_screen *screen;         /* must outlive the view */
  const char *recipe;        /* name or path as typed */
  const char *const *params; /* "key=value" as typed */
  size_t param_count;
  bool verbose; /* queries that are answered, and the recipe's file:line of every op, too */
  bool quiet;   /* only the totals */
} ui_plan_options;

typedef struct ui_plan ui_plan;

/* Makes a view; NULL when memory is short. `options` and what it points to must outlive the view.
 */
ui_plan *ui_plan_new(const ui_plan_options *options);
void ui_plan_free(ui_plan *plan);

/* A dr_observer; `data` is the ui_plan. */
void ui_plan_event(const dr_event *event, void *data);

/* Takes the live line off before somebody else writes to the terminal. */
void ui_plan_pause(ui_plan *plan);

#endif
