/* cli/show.c - `deployrun show RECIPE`: what it does, the params it takes, and how to try it. */
#include "cli.h"

#include "../ui/jsonl.h"
#include "../ui/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { GAP = 2, WIDEST_DEFAULT = 24 };

/* Widths of the table's columns. */
typedef struct columns {
  size_t name;
  size_t type;
  size_t initial;
} columns;

static size_t larger(size_t a, size_t b) {
  return a > b ? a : b;
}

/* Adds what stands in the column of defaults; seconds get their unit. */
static void add_initial(ui_buf *out, const dr_param *param) {
  char *end = NULL;
  double seconds = param->initial != NULL ? strtod(param->initial, &end) : 0;
  bool bare = end != NULL && end != param->initial && *end == '\0';
  if (param->required) {
    ui_buf_add(out, "required");
  } else if (param->initial == NULL || *param->initial == '\0') {
    ui_buf_add(out, "-");
  } else if (bare && strcmp(param->type, "duration") == 0) {
    ui_buf_printf(out, "%gs", seconds);
  } else {
    ui_add_clean(out, param->initial);
  }
}

static size_t initial_width(const dr_param *param) {
  ui_buf text = UI_BUF_INIT;
  add_initial(&text, param);
  size_t width = ui_text_width(ui_buf_text(&text));
  ui_buf_free(&text);
  return width;
}

static columns measure(const dr_runtime *rt) {
  columns widths = {.name = 0};
  dr_param param;
  for (size_t i = 0; dr_recipe_param(rt, i, &param); i++) {
    size_t initial = initial_width(&param);
    widths.name = larger(widths.name, ui_text_width(param.name));
    widths.type = larger(widths.type, ui_text_width(param.type));
    if (initial <= WIDEST_DEFAULT) widths.initial = larger(widths.initial, initial);
  }
  return widths;
}

static void drop_spaces(ui_buf *out) {
  while (out->length > 0 && out->text[out->length - 1] == ' ') out->text[--out->length] = '\0';
}

/* The help and the choices, beside the table or, on a narrow terminal, below it. */
static void add_help(ui_buf *out, const ui_screen *screen, const dr_param *param, size_t column) {
  ui_buf text = UI_BUF_INIT;
  size_t width = ui_wrap_width(screen, UI_OUT);
  bool below = width > 0 && column + 24 > width;
  ui_block block = {.indent = below ? 8 : column, .width = width};
  ui_buf_add(&text, param->help);
  if (*param->choices != '\0') {
    ui_buf_printf(&text, "%sone of %s", text.length > 0 ? "; " : "", param->choices);
  }
  if (text.length > 0 && below) {
    drop_spaces(out);
    ui_buf_add(out, "\n");
    ui_buf_fill(out, ' ', block.indent);
  }
  ui_add_block(out, ui_buf_text(&text), &block);
  ui_buf_free(&text);
}

static void add_param(ui_buf *out, const ui_screen *screen, const dr_param *param,
                      const columns *widths) {
  ui_buf name = UI_BUF_INIT;
  ui_buf initial = UI_BUF_INIT;
  ui_add_padded(&name, param->name, widths->name + GAP);
  add_initial(&initial, param);
  ui_buf_add(out, "  ");
  ui_paint(out, screen, UI_OUT, UI_BOLD, ui_buf_text(&name));
  ui_add_padded(out, param->type, widths->type + GAP);
  ui_paint(out, screen, UI_OUT, param->required ? UI_WARN : UI_PLAIN, ui_buf_text(&initial));
  if (initial.length < widths->initial) ui_buf_fill(out, ' ', widths->initial - initial.length);
  if (*param->help != '\0' || *param->choices != '\0') {
    size_t column = 2 + widths->name + widths->type + widths->initial + 3 * GAP;
    ui_buf_fill(out, ' ', GAP);
    if (initial_width(param) > widths->initial) {
      ui_buf_add(out, "\n");
      ui_buf_fill(out, ' ', column);
    }
    add_help(out, screen, param, column);
  }
  drop_spaces(out);
  ui_buf_add(out, "\n");
  ui_buf_free(&name);
  ui_buf_free(&initial);
}

/* Those that must be given first. */
static void add_params(ui_buf *out, const ui_screen *screen, const dr_runtime *rt) {
  dr_param param;
  columns widths = measure(rt);
  ui_buf_add(out, "\n");
  if (!dr_recipe_param(rt, 0, &param)) {
    ui_buf_add(out, "It takes no params.\n");
    return;
  }
  ui_paint(out, screen, UI_OUT, UI_BOLD, "Params");
  ui_buf_add(out, "\n");
  for (int required = 1; required >= 0; required--) {
    for (size_t i = 0; dr_recipe_param(rt, i, &param); i++) {
      if (param.required == (required == 1)) add_param(out, screen, &param, &widths);
    }
  }
}

/* A value that shows what kind is wanted: "dir=PATH". */
static void add_example_value(ui_buf *out, const dr_param *param) {
  if (*param->choices != '\0') {
    ui_buf_add_bytes(out, param->choices, strcspn(param->choices, "|"));
    return;
  }
  if (strcmp(param->type, "path") == 0) {
    ui_buf_add(out, "/srv/app");
  } else if (strcmp(param->type, "url") == 0) {
    ui_buf_add(out, "http://localhost/health/");
  } else if (strcmp(param->type, "duration") == 0) {
    ui_buf_add(out, "30s");
  } else {
    for (const char *at = param->type; *at != '\0'; at++) {
      ui_buf_printf(out, "%c", toupper((unsigned char)*at));
    }
  }
}

static void add_example(ui_buf *out, const ui_screen *screen, const dr_runtime *rt,
                        const char *recipe) {
  ui_buf line = UI_BUF_INIT;
  dr_param param;
  ui_buf_printf(&line, "deployrun %s", recipe);
  for (size_t i = 0; dr_recipe_param(rt, i, &param); i++) {
    if (!param.required) continue;
    ui_buf_printf(&line, " %s=", param.name);
    add_example_value(&line, &param);
  }
  ui_buf_add(out, "\n");
  ui_paint(out, screen, UI_OUT, UI_BOLD, "See what it would do, changing nothing");
  ui_buf_printf(out, "\n  %s --dry-run\n", ui_buf_text(&line));
  ui_paint(out, screen, UI_OUT, UI_BOLD, "Do it");
  ui_buf_printf(out, "\n  %s\n", ui_buf_text(&line));
  ui_buf_free(&line);
}

static void print_text(ui_screen *screen, const dr_runtime *rt, const char *recipe) {
  ui_buf out = UI_BUF_INIT;
  ui_block block = {.indent = 2, .width = ui_wrap_width(screen, UI_OUT)};
  ui_paint(&out, screen, UI_OUT, UI_BOLD, dr_recipe_name(rt));
  ui_buf_add(&out, "\n  ");
  ui_add_block(&out, dr_recipe_summary(rt), &block);
  ui_buf_add(&out, "\n  ");
  ui_buf path = UI_BUF_INIT;
  cli_add_path(&path, dr_recipe_path(rt));
  ui_paint(&out, screen, UI_OUT, UI_DIM, ui_buf_text(&path));
  ui_buf_free(&path);
  ui_buf_add(&out, "\n");
  add_params(&out, screen, rt);
  add_example(&out, screen, rt, recipe);
  ui_put(screen, UI_OUT, &out);
  ui_buf_free(&out);
}

static void add_field(ui_buf *out, const char *name, const char *text) {
  ui_buf_printf(out, ",\"%s\":", name);
  if (text == NULL) {
    ui_buf_add(out, "null");
  } else {
    ui_json_string(out, text);
  }
}

static void print_json(ui_screen *screen, const dr_runtime *rt) {
  ui_buf out = UI_BUF_INIT;
  dr_param param;
  ui_buf_add(&out, "{\"name\":");
  ui_json_string(&out, dr_recipe_name(rt));
  add_field(&out, "summary", dr_recipe_summary(rt));
  ui_buf path = UI_BUF_INIT;
  cli_add_path(&path, dr_recipe_path(rt));
  add_field(&out, "path", ui_buf_text(&path));
  ui_buf_free(&path);
  ui_buf_add(&out, ",\"params\":[");
  for (size_t i = 0; dr_recipe_param(rt, i, &param); i++) {
    ui_buf_add(&out, i == 0 ? "{\"name\":" : ",{\"name\":");
    ui_json_string(&out, param.name);
    add_field(&out, "type", param.type);
    add_field(&out, "default", param.initial);
    add_field(&out, "help", param.help);
    add_field(&out, "choices", param.choices);
    ui_buf_printf(&out, ",\"required\":%s}", param.required ? "true" : "false");
  }
  ui_buf_add(&out, "]}\n");
  ui_put(screen, UI_OUT, &out);
  ui_buf_free(&out);
}

int cli_show(const cli_args *args, ui_screen *screen) {
  dr_err err = DR_ERR_INIT;
  dr_runtime *rt = NULL;
  const char *recipe = args->recipes.items[0];
  int status = cli_load(&rt, recipe, &err);
  if (status != DR_OK) return cli_error(args, screen, &err, status);
  if (args->json) {
    print_json(screen, rt);
  } else {
    print_text(screen, rt, recipe);
  }
  dr_runtime_free(rt);
  return DR_OK;
}
