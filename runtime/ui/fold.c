/* ui/fold.c - keeps the ops of the lanes of one `parallel` until all are known, then prints equal
 * lanes once (fold.h). */
#include "fold.h"

#include "text.h"

#include <stdlib.h>
#include <string.h>

typedef struct kept_op {
  double number;
  char *target;
  char *head; /* what and effects, each ended by a zero byte */
  char *body;
  size_t indent;
} kept_op;

typedef struct kept_lane {
  char *name;
  kept_op *ops;
  size_t count;
  bool printed;
} kept_lane;

struct ui_fold {
  kept_lane *lanes;
  size_t count;
  size_t saved;
};

ui_fold *ui_fold_new(void) {
  return calloc(1, sizeof(ui_fold));
}

static void free_op(kept_op *op) {
  free(op->target);
  free(op->head);
  free(op->body);
}

static void forget(ui_fold *fold) {
  for (size_t i = 0; i < fold->count; i++) {
    for (size_t k = 0; k < fold->lanes[i].count; k++) free_op(&fold->lanes[i].ops[k]);
    free(fold->lanes[i].ops);
    free(fold->lanes[i].name);
  }
  free(fold->lanes);
  fold->lanes = NULL;
  fold->count = 0;
}

void ui_fold_free(ui_fold *fold) {
  if (fold == NULL) return;
  forget(fold);
  free(fold);
}

size_t ui_fold_saved(const ui_fold *fold) {
  return fold->saved;
}

/* The length of "main" in "main/web1"; 0 for a lane that has no siblings. */
static size_t parent_length(const char *lane) {
  const char *slash = strrchr(lane, '/');
  return slash == NULL ? 0 : (size_t)(slash - lane);
}

bool ui_fold_fits(const ui_fold *fold, const char *lane) {
  size_t length = parent_length(lane);
  if (fold->count == 0) return true;
  const char *first = fold->lanes[0].name;
  return length > 0 && parent_length(first) == length && strncmp(first, lane, length) == 0;
}

static kept_lane *find_lane(ui_fold *fold, const char *name) {
  for (size_t i = fold->count; i-- > 0;) {
    if (strcmp(fold->lanes[i].name, name) == 0) return &fold->lanes[i];
  }
  kept_lane *lanes = realloc(fold->lanes, (fold->count + 1) * sizeof *lanes);
  if (lanes == NULL) return NULL;
  fold->lanes = lanes;
  lanes[fold->count] = (kept_lane){.name = strdup(name)};
  return lanes[fold->count].name == NULL ? NULL : &lanes[fold->count++];
}

/* "what\0effects\0" */
static char *join(const char *what, const char *effects) {
  size_t first = strlen(what) + 1, second = strlen(effects) + 1;
  char *head = malloc(first + second);
  if (head == NULL) return NULL;
  memcpy(head, what, first);
  memcpy(head + first, effects, second);
  return head;
}

bool ui_fold_add(ui_fold *fold, const ui_fold_op *op) {
  kept_lane *lane = find_lane(fold, op->lane);
  kept_op *ops = lane == NULL ? NULL : realloc(lane->ops, (lane->count + 1) * sizeof *ops);
  if (ops == NULL) return false;
  lane->ops = ops;
  kept_op *kept = &ops[lane->count];
  *kept = (kept_op){.number = op->number,
                    .target = strdup(op->target),
                    .head = join(op->what, op->effects),
                    .body = strdup(op->body),
                    .indent = op->indent};
  if (kept->target != NULL && kept->head != NULL && kept->body != NULL) {
    lane->count++;
    return true;
  }
  free_op(kept);
  return false;
}

/* ------------------------------------------------------------ printing */

static const char *effects_of(const kept_op *op) {
  return op->head + strlen(op->head) + 1;
}

static bool same_op(const kept_op *a, const kept_op *b) {
  return a->indent == b->indent && strcmp(a->head, b->head) == 0 &&
         strcmp(effects_of(a), effects_of(b)) == 0 && strcmp(a->body, b->body) == 0;
}

static bool same_lane(const kept_lane *a, const kept_lane *b) {
  if (a->count != b->count) return false;
  for (size_t k = 0; k < a->count; k++) {
    if (!same_op(&a->ops[k], &b->ops[k])) return false;
  }
  return true;
}

/* " on web1, web2 … web64 (64 hosts)"; " on local (3 times)". */
static void add_targets(ui_buf *out, const ui_fold *fold, const size_t *same, size_t count,
                        size_t k, const ui_screen *screen) {
  const char *first = fold->lanes[same[0]].ops[k].target;
  const char *last = fold->lanes[same[count - 1]].ops[k].target;
  if (*first == '\0') return;
  ui_buf_printf(out, " on %s", first);
  if (count == 1) return;
  if (strcmp(first, last) == 0) {
    ui_buf_printf(out, " (%zu times)", count);
    return;
  }
  for (size_t i = 1; i < count; i++) {
    if (count > 4 && i > 1 && i < count - 1) continue;
    const char *sign = count > 4 && i == count - 1 ? " " : ", ";
    ui_buf_add(out, sign);
    if (*sign == ' ') ui_buf_printf(out, "%s ", ui_dots(screen));
    ui_buf_add(out, fold->lanes[same[i]].ops[k].target);
  }
  ui_buf_printf(out, " (%zu hosts)", count);
}

static void print_class(ui_fold *fold, const size_t *same, size_t count, ui_buf *out,
                        const ui_screen *screen) {
  const kept_lane *lane = &fold->lanes[same[0]];
  for (size_t k = 0; k < lane->count; k++) {
    const kept_op *op = &lane->ops[k];
    ui_block block = {.indent = op->indent + UI_FOLD_INDENT,
                      .width = ui_wrap_width(screen, UI_OUT)};
    ui_buf targets = UI_BUF_INIT;
    add_targets(&targets, fold, same, count, k, screen);
    ui_buf_fill(out, ' ', op->indent);
    ui_buf_printf(out, "%4.0f  %s", op->number, op->head);
    ui_add_block(out, ui_buf_text(&targets), &block);
    if (*effects_of(op) != '\0') ui_add_behind(out, effects_of(op), &block);
    ui_buf_printf(out, "\n%s", op->body);
    ui_buf_free(&targets);
  }
  fold->saved += (count - 1) * lane->count;
}

void ui_fold_flush(ui_fold *fold, ui_buf *out, const ui_screen *screen) {
  size_t *same = fold->count == 0 ? NULL : calloc(fold->count, sizeof *same);
  for (size_t i = 0; same != NULL && i < fold->count; i++) {
    size_t count = 0;
    if (fold->lanes[i].printed) continue;
    for (size_t j = i; j < fold->count; j++) {
      if (fold->lanes[j].printed || !same_lane(&fold->lanes[i], &fold->lanes[j])) continue;
      fold->lanes[j].printed = true;
      same[count++] = j;
    }
    print_class(fold, same, count, out, screen);
  }
  free(same);
  forget(fold);
}
