/* embedding.c - see embedding.h. */
#include "embedding.h"

#include "remove_folder.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void keep(embedding *world, const char *line) {
  size_t length = strlen(line);
  char *grown = realloc(world->events, world->length + length + 2);
  assert_non_null(grown);
  world->events = grown;
  snprintf(grown + world->length, length + 2, "%s\n", line);
  world->length += length + 1;
}

static void on_event(const dr_event *event, void *data) {
  embedding *world = data;
  if (++world->telling > world->deepest) world->deepest = world->telling;
  if (dr_event_kind(event) != DR_EVENT_TICK) keep(world, dr_event_json(event));
  if (world->on_event) world->on_event(event, world);
  world->telling--;
}

int embedding_begin(void **state) {
  embedding *world = calloc(1, sizeof *world);
  assert_non_null(world);
  snprintf(world->folder, sizeof world->folder, "/tmp/embedding.XXXXXX");
  assert_non_null(mkdtemp(world->folder));
  snprintf(world->state, sizeof world->state, "%s/state", world->folder);
  world->options = (dr_options)DR_OPTIONS_INIT;
  world->options.recipes_dir = world->folder;
  world->options.state_dir = world->state;
  world->options.observer = on_event;
  world->options.observer_data = world;
  *state = world;
  return 0;
}

int embedding_end(void **state) {
  embedding *world = *state;
  int deepest = world->deepest;
  dr_runtime_free(world->rt);
  dr_err_clear(&world->err);
  remove_folder(world->folder);
  free(world->events);
  free(world);
  return deepest <= 1 ? 0 : -1;
}

void embedding_write(const embedding *world, const char *name, const char *text) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", world->folder, name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  assert_true(fputs(text, file) >= 0);
  assert_int_equal(fclose(file), 0);
}

int embedding_load(embedding *world, const char *text) {
  char path[128];
  embedding_write(world, "t.lua", text);
  snprintf(path, sizeof path, "%s/t.lua", world->folder);
  dr_runtime_free(world->rt);
  assert_int_equal(dr_runtime_new(&world->rt, &world->options, &world->err), DR_OK);
  return dr_load(world->rt, path, &world->err);
}

static int load_body(embedding *world, const char *body) {
  static const char format[] = "return recipe { name = \"t\", run = function(p)\n"
                               "local here <const> = host(\"local\"):cd(\"%s\");\n%s\nend }\n";
  size_t size = sizeof format + sizeof world->folder + strlen(body);
  char *text = malloc(size);
  assert_non_null(text);
  snprintf(text, size, format, world->folder, body);
  int status = embedding_load(world, text);
  free(text);
  return status;
}

int embedding_run(embedding *world, const char *body) {
  int status = load_body(world, body);
  return status == DR_OK ? dr_run(world->rt, &world->err) : status;
}

int embedding_plan(embedding *world, const char *body) {
  int status = load_body(world, body);
  return status == DR_OK ? dr_plan(world->rt, &world->err) : status;
}

/* Counts the lines of an event that contain the text. */
static int count(const embedding *world, const char *event, const char *text) {
  char begin[64];
  snprintf(begin, sizeof begin, "{\"event\":\"%s\"", event);
  int found = 0;
  const char *line = world->events ? world->events : "";
  while (*line) {
    size_t length = strcspn(line, "\n");
    bool same = strncmp(line, begin, strlen(begin)) == 0;
    if (same && memmem(line, length, text, strlen(text))) found++;
    line += length + 1;
  }
  return found;
}

bool embedding_told(const embedding *world, const char *event, const char *text) {
  return count(world, event, text) > 0;
}

int embedding_count(const embedding *world, const char *event) {
  return count(world, event, "");
}

static void append_file(char **text, size_t *length, const char *path) {
  FILE *file = fopen(path, "r");
  char chunk[4096];
  size_t got;
  assert_non_null(file);
  while ((got = fread(chunk, 1, sizeof chunk, file)) > 0) {
    *text = realloc(*text, *length + got + 1);
    assert_non_null(*text);
    memcpy(*text + *length, chunk, got);
    *length += got;
  }
  (*text)[*length] = '\0';
  fclose(file);
}

char *embedding_journal(const embedding *world) {
  char path[512];
  size_t length = 0;
  char *text = calloc(1, 1);
  snprintf(path, sizeof path, "%s/runs", world->state);
  DIR *runs = opendir(path);
  for (struct dirent *entry; runs && (entry = readdir(runs));) {
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "%s/runs/%s/journal.jsonl", world->state, entry->d_name);
    append_file(&text, &length, path);
  }
  if (runs) closedir(runs);
  return text;
}

bool embedding_exists(const embedding *world, const char *name) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", world->folder, name);
  return access(path, F_OK) == 0;
}
