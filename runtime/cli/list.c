/* cli/list.c - `deployrun list`: the bundled recipes and what each is for. Every recipe is loaded
 * in a runtime of its own; one that cannot be loaded is reported and the list goes on. */
#include "cli.h"

#include "../ui/jsonl.h"
#include "../ui/text.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry {
  char *name;
  char *summary; /* NULL: it cannot be loaded */
  char *path;
  dr_err err;
} entry;

static int is_recipe(const struct dirent *file) {
  size_t length = strlen(file->d_name);
  return length > 4 && file->d_name[0] != '.' && strcmp(file->d_name + length - 4, ".lua") == 0;
}

/* False when memory is short. */
static bool read_entry(entry *out, const char *dir, const char *file) {
  ui_buf path = UI_BUF_INIT;
  cli_add_path(&path, dir);
  ui_buf_printf(&path, "/%s", file);
  out->path = path.text;
  out->name = strndup(file, strlen(file) - 4);
  if (out->name == NULL || out->path == NULL) return false;
  dr_runtime *rt = NULL;
  bool loaded = cli_load(&rt, out->path, &out->err) == DR_OK;
  if (loaded) out->summary = strdup(dr_recipe_summary(rt));
  dr_runtime_free(rt);
  return !loaded || out->summary != NULL;
}

static void free_entries(entry *entries, size_t count) {
  for (size_t i = 0; i < count; i++) {
    free(entries[i].name);
    free(entries[i].summary);
    free(entries[i].path);
    dr_err_clear(&entries[i].err);
  }
  free(entries);
}

static void print_text(ui_screen *screen, const entry *entries, size_t count, const char *dir) {
  ui_buf out = UI_BUF_INIT;
  size_t widest = 0;
  for (size_t i = 0; i < count; i++) {
    size_t width = ui_text_width(entries[i].name);
    if (width > widest) widest = width;
  }
  ui_block block = {.indent = widest + 2, .width = ui_wrap_width(screen, UI_OUT)};
  for (size_t i = 0; i < count; i++) {
    if (entries[i].summary == NULL) continue;
    ui_paint(&out, screen, UI_OUT, UI_BOLD, entries[i].name);
    ui_buf_fill(&out, ' ', block.indent - ui_text_width(entries[i].name));
    ui_add_block(&out, entries[i].summary, &block);
    ui_buf_add(&out, "\n");
  }
  if (screen->wrap[UI_OUT]) {
    block.indent = 2;
    ui_buf_add(&out, "\nFrom ");
    cli_add_path(&out, dir);
    ui_add_block(&out, ". `deployrun show NAME` explains one.", &block);
    ui_buf_add(&out, "\n");
  }
  ui_put(screen, UI_OUT, &out);
  ui_buf_free(&out);
}

static void print_json(ui_screen *screen, const entry *entries, size_t count) {
  ui_buf out = UI_BUF_INIT;
  for (size_t i = 0; i < count; i++) {
    if (entries[i].summary == NULL) continue;
    ui_buf_add(&out, "{\"name\":");
    ui_json_string(&out, entries[i].name);
    ui_buf_add(&out, ",\"summary\":");
    ui_json_string(&out, entries[i].summary);
    ui_buf_add(&out, ",\"path\":");
    ui_json_string(&out, entries[i].path);
    ui_buf_add(&out, "}\n");
  }
  ui_put(screen, UI_OUT, &out);
  ui_buf_free(&out);
}

static void report_broken(const cli_args *args, ui_screen *screen, entry *entries, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (entries[i].summary != NULL) continue;
    dr_err *err = &entries[i].err;
    ui_buf message = UI_BUF_INIT;
    ui_buf_printf(&message, "%s cannot be loaded: %s", entries[i].name, err->message);
    snprintf(err->message, sizeof err->message, "%s", ui_buf_text(&message));
    ui_buf_free(&message);
    (void)cli_error(args, screen, err, DR_RECIPE);
  }
}

static int no_memory(const cli_args *args, ui_screen *screen) {
  dr_err err = DR_ERR_INIT;
  snprintf(err.code, sizeof err.code, "out_of_memory");
  snprintf(err.message, sizeof err.message, "out of memory");
  return cli_error(args, screen, &err, DR_FAILED);
}

/* Lists a folder; `files` is what scandir() found. */
static int list_files(const cli_args *args, ui_screen *screen, const char *dir,
                      struct dirent **files, size_t count) {
  entry *entries = calloc(count + 1, sizeof *entries);
  if (entries == NULL) return no_memory(args, screen);
  bool whole = true;
  for (size_t i = 0; i < count && whole; i++)
    whole = read_entry(&entries[i], dir, files[i]->d_name);
  if (whole && args->json) {
    print_json(screen, entries, count);
  } else if (whole) {
    print_text(screen, entries, count, dir);
  }
  if (whole) report_broken(args, screen, entries, count);
  free_entries(entries, count);
  return whole ? DR_OK : no_memory(args, screen);
}

static int no_folder(const cli_args *args, ui_screen *screen, const char *dir) {
  dr_err err = DR_ERR_INIT;
  snprintf(err.code, sizeof err.code, "usage.file");
  snprintf(err.message, sizeof err.message, "the folder of bundled recipes cannot be read: %s: %s",
           dir, strerror(errno));
  snprintf(err.hint, sizeof err.hint, "run a recipe by its path: `deployrun ./my.lua`");
  return cli_error(args, screen, &err, DR_FAILED);
}

int cli_list(const cli_args *args, ui_screen *screen) {
  dr_err err = DR_ERR_INIT;
  dr_options options = DR_OPTIONS_INIT;
  dr_runtime *rt = NULL;
  int status = dr_runtime_new(&rt, &options, &err);
  if (status != DR_OK) return cli_error(args, screen, &err, status);
  const char *dir = dr_recipes_dir(rt) != NULL ? dr_recipes_dir(rt) : "(none)";
  struct dirent **files = NULL;
  int count = scandir(dir, &files, is_recipe, alphasort);
  if (count < 0) {
    status = no_folder(args, screen, dir);
  } else {
    status = list_files(args, screen, dir, files, (size_t)count);
  }
  for (int i = 0; i < count; i++) free(files[i]);
  free(files);
  dr_runtime_free(rt);
  return status;
}
