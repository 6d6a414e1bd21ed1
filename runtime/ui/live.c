/* ui/live.c - keeps what is under way and draws the live lines (live.h). Called by terminal.c, main
 * thread. */
#include "live.h"

#include "text.h"

#include <stdlib.h>
#include <string.h>

enum { LINGER_MS = 400 };

/* A clean copy of an event's field; NULL when memory is short. */
static char *take(const dr_event *event, const char *field) {
  ui_buf buf = UI_BUF_INIT;
  const char *text = dr_event_text(event, field);
  ui_add_clean_bytes(&buf, text, strcspn(text, "\n"));
  return buf.text != NULL ? buf.text : strdup("");
}

static const char *text_of(const char *text) {
  return text != NULL ? text : "";
}

/* Room for one more item of an array; NULL when memory is short. */
static void *grown(void *items, size_t count, size_t *capacity, size_t size) {
  if (count < *capacity) return items;
  size_t wanted = *capacity == 0 ? 8 : *capacity * 2;
  void *more = realloc(items, wanted * size);
  if (more != NULL) *capacity = wanted;
  return more;
}

/* ------------------------------------------------------------ steps */

static void free_step(ui_step *step) {
  free(step->name);
  free(step->lane);
}

static void free_op(ui_op *op) {
  free(op->name);
  free(op->target);
  free(op->lane);
  free(op->doing);
}

void ui_live_all_ended(ui_live *live) {
  for (size_t i = 0; i < live->step_count; i++) free_step(&live->steps[i]);
  for (size_t i = 0; i < live->op_count; i++) free_op(&live->ops[i]);
  live->step_count = 0;
  live->op_count = 0;
  free(live->undo);
  live->undo = NULL;
}

void ui_live_free(ui_live *live) {
  ui_live_all_ended(live);
  free(live->steps);
  free(live->ops);
  ui_buf_free(&live->op_line);
  *live = (ui_live){.steps = NULL};
}

void ui_live_step_began(ui_live *live, const dr_event *event, int64_t now_ms) {
  ui_step *steps = grown(live->steps, live->step_count, &live->step_capacity, sizeof *steps);
  if (steps == NULL) return;
  live->steps = steps;
  steps[live->step_count++] = (ui_step){
      .name = take(event, "step"),
      .lane = take(event, "lane"),
      .index = (int)dr_event_number(event, "index", 0),
      .total = (int)dr_event_number(event, "total", 0),
      .depth = (int)dr_event_number(event, "depth", 0),
      .began_ms = now_ms,
  };
}

ui_step *ui_live_step(ui_live *live, const dr_event *event) {
  char *name = take(event, "step");
  char *lane = take(event, "lane");
  int depth = (int)dr_event_number(event, "depth", 0);
  ui_step *found = NULL;
  for (size_t i = live->step_count; i-- > 0 && found == NULL;) {
    ui_step *step = &live->steps[i];
    bool same = step->depth == depth && strcmp(text_of(step->name), text_of(name)) == 0;
    if (same && strcmp(text_of(step->lane), text_of(lane)) == 0) found = step;
  }
  free(name);
  free(lane);
  return found;
}

/* Whether lane `outer` is `inner` or encloses it. */
static bool encloses(const char *outer, const char *inner) {
  size_t length = strlen(outer);
  if (strncmp(outer, inner, length) != 0) return false;
  return inner[length] == '\0' || inner[length] == '/';
}

ui_step *ui_live_lane_step(ui_live *live, const char *lane) {
  for (size_t i = live->step_count; i-- > 0;) {
    if (encloses(text_of(live->steps[i].lane), lane)) return &live->steps[i];
  }
  return NULL;
}

void ui_live_step_ended(ui_live *live, ui_step *step) {
  if (step == NULL) return;
  size_t at = (size_t)(step - live->steps);
  free_step(step);
  live->step_count--;
  memmove(step, step + 1, (live->step_count - at) * sizeof *step);
}

/* ------------------------------------------------------------ ops */

ui_op *ui_live_op(ui_live *live, const dr_event *event) {
  double seq = dr_event_number(event, "seq", -1);
  for (size_t i = live->op_count; i-- > 0;) {
    if (live->ops[i].seq == seq) return &live->ops[i];
  }
  return NULL;
}

void ui_live_op_began(ui_live *live, const dr_event *event, int64_t now_ms) {
  ui_op *ops = grown(live->ops, live->op_count, &live->op_capacity, sizeof *ops);
  if (ops == NULL) return;
  live->ops = ops;
  ops[live->op_count++] = (ui_op){
      .seq = dr_event_number(event, "seq", -1),
      .name = take(event, "op"),
      .target = take(event, "target"),
      .lane = take(event, "lane"),
      .doing = take(event, "preview"),
      .share = -1,
      .seen_ms = now_ms,
  };
}

void ui_live_op_said(ui_live *live, const dr_event *event, const char *field, int64_t now_ms) {
  ui_op *op = ui_live_op(live, event);
  if (op == NULL) return;
  char *said = take(event, field);
  double total = dr_event_number(event, "total", 0);
  if (total > 0) op->share = dr_event_number(event, "bytes", 0) / total;
  op->seen_ms = now_ms;
  if (said == NULL || *said == '\0') {
    free(said);
    return;
  }
  free(op->doing);
  op->doing = said;
}

void ui_live_op_ended(ui_live *live, const dr_event *event) {
  ui_op *op = ui_live_op(live, event);
  if (op == NULL) return;
  size_t at = (size_t)(op - live->ops);
  free_op(op);
  live->op_count--;
  memmove(op, op + 1, (live->op_count - at) * sizeof *op);
}

const char *ui_live_lane(ui_live *live, const dr_event *event) {
  const ui_op *op = ui_live_op(live, event);
  return op != NULL ? text_of(op->lane) : "";
}

/* ------------------------------------------------------------ the lines */

void ui_live_add_title(ui_buf *out, const ui_step *step) {
  ui_buf_fill(out, ' ', (size_t)(step->depth > 0 ? step->depth * 2 : 0));
  if (step->index > 0 && step->total > 0) {
    ui_buf_printf(out, "[%d/%d] ", step->index, step->total);
  } else if (step->index > 0) {
    ui_buf_printf(out, "[%d] ", step->index);
  } else {
    ui_buf_add(out, "- ");
  }
  ui_buf_add(out, text_of(step->name));
}

static void add_spinner(ui_buf *out, const ui_live *live, const ui_screen *screen) {
  static const char *const turning[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
  static const char *const plain[] = {"|", "/", "-", "\\"};
  ui_buf_add(out, screen->utf8 ? turning[live->frame % 10] : plain[live->frame % 4]);
}

/* The op that did something last. */
static const ui_op *latest_op(const ui_live *live) {
  const ui_op *latest = NULL;
  for (size_t i = 0; i < live->op_count; i++) {
    if (latest == NULL || live->ops[i].seen_ms >= latest->seen_ms) latest = &live->ops[i];
  }
  return latest;
}

/* " … ⠹ 12.4 s  +2 more": the end of the first line, which is never cut away. */
static void add_tail(ui_buf *out, const ui_live *live, const ui_screen *screen, int64_t began_ms) {
  int64_t now = screen->clock_ms(screen->data);
  ui_buf_printf(out, " %s ", ui_dots(screen));
  add_spinner(out, live, screen);
  ui_buf_add(out, " ");
  ui_add_seconds(out, (double)(now - began_ms) / 1000.0);
  if (live->op_count > 1) ui_buf_printf(out, "  +%zu more", live->op_count - 1);
}

/* The first line: what is under way, and for how long. */
static void compose_first(ui_buf *out, ui_live *live, const ui_screen *screen, const ui_op *op,
                          const char *waiting) {
  ui_buf title = UI_BUF_INIT;
  ui_buf tail = UI_BUF_INIT;
  const ui_step *step = ui_live_lane_step(live, op != NULL ? text_of(op->lane) : "");
  if (step == NULL && live->step_count > 0) step = &live->steps[live->step_count - 1];
  int64_t began = live->began_ms;
  if (live->undo != NULL) {
    ui_buf_printf(&title, "Undo  %s", live->undo);
    began = live->undo_began_ms;
  } else if (step != NULL) {
    ui_live_add_title(&title, step);
    began = step->began_ms;
  } else {
    ui_buf_add(&title, waiting);
  }
  add_tail(&tail, live, screen, began);
  size_t columns = screen->columns(screen->data) - 1;
  size_t used = ui_text_width(ui_buf_text(&tail));
  ui_add_cut(out, ui_buf_text(&title), columns > used ? columns - used : 0, ui_dots(screen));
  ui_buf_add(out, ui_buf_text(&tail));
  ui_buf_free(&title);
  ui_buf_free(&tail);
}

/* "━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌  50 % ": how much of an op's bytes is moved. */
static void add_bar(ui_buf *out, const ui_screen *screen, double share) {
  enum { CELLS = 20 };
  if (share > 1) share = 1;
  int full = (int)(share * CELLS);
  for (int i = 0; i < CELLS; i++)
    ui_buf_add(out, screen->utf8 ? (i < full ? "━" : "╌") : (i < full ? "#" : "-"));
  ui_buf_printf(out, " %3d %%  ", (int)(share * 100));
}

/* The second line: the op, where, and the last it said. Between two ops it stays for a moment, so
 * that a step of many short ops does not flicker. */
static void compose_second(ui_live *live, const ui_screen *screen, const ui_op *op) {
  int64_t now = screen->clock_ms(screen->data);
  if (op == NULL) {
    if (now - live->op_line_ms > LINGER_MS) ui_buf_reset(&live->op_line);
    return;
  }
  ui_buf *out = &live->op_line;
  live->op_line_ms = now;
  ui_buf_reset(out);
  ui_buf_printf(out, "      %s", text_of(op->name));
  if (text_of(op->target)[0] != '\0') ui_buf_printf(out, " on %s", op->target);
  if (text_of(op->doing)[0] == '\0') return;
  ui_buf_printf(out, " %s ", ui_dot(screen));
  if (op->share >= 0) add_bar(out, screen, op->share);
  ui_buf_add(out, op->doing);
}

void ui_live_draw(ui_live *live, ui_screen *screen, const char *waiting) {
  if (!screen->live) return;
  const ui_op *op = latest_op(live);
  ui_buf first = UI_BUF_INIT;
  compose_first(&first, live, screen, op, waiting);
  compose_second(live, screen, op);
  ui_region_line lines[UI_REGION_LINES] = {
      {ui_buf_text(&first), UI_BOLD},
      {ui_buf_text(&live->op_line), UI_DIM},
  };
  ui_region_draw(screen, lines, live->op_line.length > 0 ? 2 : 1);
  ui_buf_free(&first);
}
