/* core/runtime.c - the public functions of deployrun.h, and the runtime behind them. */
#include "core/runtime.h"

#include "core/json.h"
#include "core/params.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------ making, freeing */

static void on_wake(uv_async_t *wake) {
  (void)wake; /* the driver looks at rt->cancels after each turn of the loop */
}

/* $XDG_STATE_HOME/deployrun, else ~/.local/state/deployrun. */
static char *default_state_dir(void) {
  const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
  char *path = NULL;
  int length = state && *state == '/' ? asprintf(&path, "%s/deployrun", state)
               : home && *home        ? asprintf(&path, "%s/.local/state/deployrun", home)
                                      : asprintf(&path, "/var/tmp/deployrun");
  return length < 0 ? NULL : path;
}

static int open_loop(dr_runtime *rt) {
  if (uv_loop_init(&rt->loop) != 0) return -1;
  if (uv_async_init(&rt->loop, &rt->wake, on_wake) != 0) {
    uv_loop_close(&rt->loop);
    return -1;
  }
  rt->loop_made = true;
  return 0;
}

int dr_runtime_new(dr_runtime **out, const dr_options *options, dr_err *err) {
  *out = NULL;
  dr__json_watch();
  dr_runtime *rt = calloc(1, sizeof *rt);
  if (!rt) return dr__err_nomem(err);
  memcpy(&rt->options, options,
         options->size < sizeof rt->options ? options->size : sizeof rt->options);
  rt->options.recipes_dir =
      options->recipes_dir ? strdup(options->recipes_dir) : dr__source_bundled();
  rt->options.state_dir = options->state_dir ? strdup(options->state_dir) : default_state_dir();
  rt->secrets = dr__secrets_new();
  rt->sources = json_object();
  rt->env_file = json_object();
  rt->given = json_object();
  bool made = rt->options.recipes_dir && rt->options.state_dir && rt->secrets && rt->sources &&
              rt->env_file && rt->given && open_loop(rt) == 0;
  if (!made) {
    dr_runtime_free(rt);
    return dr__err_nomem(err);
  }
  *out = rt;
  return DR_OK;
}

static void close_kept(dr_runtime *rt) {
  while (rt->kept) {
    dr_kept *kept = rt->kept;
    rt->kept = kept->next;
    kept->close(kept->value);
    free(kept);
  }
}

void dr_runtime_free(dr_runtime *rt) {
  if (!rt) return;
  if (rt->next) dr__run_free(rt->next);
  close_kept(rt);
  if (rt->loop_made) {
    uv_close((uv_handle_t *)&rt->wake, NULL);
    uv_run(&rt->loop, UV_RUN_DEFAULT);
    uv_loop_close(&rt->loop);
  }
  dr__secrets_free(rt->secrets);
  json_decref(rt->sources);
  json_decref(rt->env_file);
  json_decref(rt->params);
  json_decref(rt->given);
  free(rt->recipe_path);
  free(rt->recipe_name);
  free(rt->recipe_summary);
  free((char *)rt->options.recipes_dir);
  free((char *)rt->options.state_dir);
  free(rt);
}

/* ------------------------------------------------------------ recipe */

int dr_load(dr_runtime *rt, const char *recipe, dr_err *err) {
  if (rt->recipe_path)
    return dr__fail(err, "usage.loaded", "this runtime has loaded %s already", rt->recipe_path);
  rt->recipe_path = dr__source_recipe(rt, recipe, err);
  if (!rt->recipe_path) return (int)dr_err_status(err);
  return dr__recipe_describe(rt, err);
}

const char *dr_recipe_name(const dr_runtime *rt) {
  return rt->recipe_name ? rt->recipe_name : "";
}

const char *dr_recipe_summary(const dr_runtime *rt) {
  return rt->recipe_summary ? rt->recipe_summary : "";
}

const char *dr_recipe_path(const dr_runtime *rt) {
  return rt->recipe_path ? rt->recipe_path : "";
}

const char *dr_recipes_dir(const dr_runtime *rt) {
  return rt->options.recipes_dir;
}

static const char *text_or(const json_t *object, const char *key, const char *otherwise) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : otherwise;
}

bool dr_recipe_param(const dr_runtime *rt, size_t index, dr_param *out) {
  json_t *declaration = json_array_get(rt->params, index);
  if (!declaration) return false;
  json_t *initial = json_object_get(declaration, "default");
  if (initial && !json_object_get(declaration, "typed")) {
    char *text = dr__param_text(initial);
    if (text) json_object_set_new(declaration, "typed", json_string(text));
    free(text);
  }
  *out = (dr_param){.name = text_or(declaration, "name", ""),
                    .type = text_or(declaration, "type", ""),
                    .initial = text_or(declaration, "typed", NULL),
                    .help = text_or(declaration, "help", ""),
                    .choices = text_or(declaration, "choices_text", ""),
                    .required = json_is_true(json_object_get(declaration, "required"))};
  return true;
}

int dr_set(dr_runtime *rt, const char *name, const char *value, dr_err *err) {
  json_t *declaration = dr__param_find(rt->params, name, err);
  json_t *parsed = declaration ? dr__param_parse(declaration, value, err) : NULL;
  if (!parsed) return (int)dr_err_status(err);
  return json_object_set_new(rt->given, name, parsed) == 0 ? DR_OK : dr__err_nomem(err);
}

/* ------------------------------------------------------------ files of values */

static char *trim(char *text) {
  while (*text == ' ' || *text == '\t') text++;
  size_t length = strlen(text);
  while (length > 0 && strchr(" \t\r\n", text[length - 1])) text[--length] = '\0';
  return text;
}

/* A value in matching quotes loses them. */
static char *unquote(char *value) {
  size_t length = strlen(value);
  bool quoted =
      length >= 2 && (value[0] == '"' || value[0] == '\'') && value[length - 1] == value[0];
  if (!quoted) return value;
  value[length - 1] = '\0';
  return value + 1;
}

typedef int (*take_value)(dr_runtime *rt, const char *name, const char *value, dr_err *err);

/* Splits one line; blank lines and comments are passed over. */
static int take_line(dr_runtime *rt, char *line, take_value take, dr_err *err) {
  char *text = trim(line);
  if (!*text || *text == '#') return DR_OK;
  if (strncmp(text, "export ", 7) == 0) text = trim(text + 7);
  char *equals = strchr(text, '=');
  if (!equals || equals == text)
    return dr__fail(err, "usage.file", "expected name=value"); /* the text may be a secret */
  *equals = '\0';
  return take(rt, trim(text), unquote(trim(equals + 1)), err);
}

static int read_values(dr_runtime *rt, const char *path, take_value take, dr_err *err) {
  FILE *file = fopen(path, "re");
  if (!file) return dr__fail(err, "usage.file", "cannot read %s: %s", path, strerror(errno));
  char *line = NULL;
  size_t size = 0;
  int status = DR_OK;
  for (int number = 1; status == DR_OK && getline(&line, &size, file) >= 0; number++) {
    status = take_line(rt, line, take, err);
    if (status != DR_OK && err) snprintf(err->where, sizeof err->where, "%s:%d", path, number);
  }
  if (status == DR_OK && ferror(file))
    status = dr__fail(err, "usage.file", "cannot read %s: %s", path, strerror(errno));
  if (line) explicit_bzero(line, size);
  free(line);
  fclose(file);
  return status;
}

int dr_set_file(dr_runtime *rt, const char *path, dr_err *err) {
  return read_values(rt, path, dr_set, err);
}

static int set_env(dr_runtime *rt, const char *name, const char *value, dr_err *err) {
  if (!dr__is_utf8(name) || !dr__is_utf8(value))
    return dr__fail(err, "usage.file", "%s is not UTF-8 text", name);
  return json_object_set_new(rt->env_file, name, json_string(value)) == 0 ? DR_OK
                                                                          : dr__err_nomem(err);
}

int dr_env_file(dr_runtime *rt, const char *path, dr_err *err) {
  return read_values(rt, path, set_env, err);
}

/* ------------------------------------------------------------ running */

/* Walks or runs. A dr_cancel() that came before is heard; one that was heard is over with it. */
static int go(dr_runtime *rt, int (*how)(dr_runtime *rt, dr_err *err), dr_err *err) {
  if (!rt->recipe_name) return dr__fail(err, "usage.not_loaded", "no recipe was loaded");
  if (rt->run) return dr__fail(err, "usage.busy", "this runtime is running a recipe already");
  int status = how(rt, err);
  atomic_store(&rt->cancels, 0);
  return status;
}

int dr_plan(dr_runtime *rt, dr_err *err) {
  return go(rt, dr__run_plan, err);
}

int dr_run(dr_runtime *rt, dr_err *err) {
  return go(rt, dr__run_execute, err);
}

void dr_cancel(dr_runtime *rt) {
  atomic_fetch_add(&rt->cancels, 1);
  uv_async_send(&rt->wake);
}

/* ------------------------------------------------------------ for bindings */

void *dr__runtime_get(dr_runtime *rt, const char *key) {
  for (dr_kept *kept = rt->kept; kept; kept = kept->next)
    if (strcmp(kept->key, key) == 0) return kept->value;
  return NULL;
}

int dr__runtime_put(dr_runtime *rt, const char *key, void *value, void (*close)(void *value)) {
  dr_kept *kept = malloc(sizeof *kept);
  if (!kept) return -1;
  *kept = (dr_kept){.next = rt->kept, .key = key, .value = value, .close = close};
  rt->kept = kept;
  return 0;
}

void *dr__runtime_keep(dr_runtime *rt, const char *key, size_t size, void (*close)(void *value)) {
  void *value = dr__runtime_get(rt, key);
  if (value) return value;
  value = calloc(1, size);
  if (!value || dr__runtime_put(rt, key, value, close) == 0) return value;
  free(value);
  return NULL;
}

dr_runtime *dr__lua_runtime(lua_State *L) {
  return dr__lua_run(L)->rt;
}

uv_loop_t *dr__runtime_loop(dr_runtime *rt) {
  return &rt->loop;
}

const char *dr__runtime_secret_in(const char *value, void *data) {
  dr_runtime *rt = data;
  return dr__secrets_found(rt->secrets, value, strlen(value));
}

bool dr__runtime_mask(dr_runtime *rt, const char *name, const char *value) {
  return dr__secrets_add(rt->secrets, name, value);
}

char *dr__runtime_ask(dr_runtime *rt, const char *question, const char *secret_name) {
  if (!rt->options.asker) return NULL;
  char *answer = rt->options.asker(question, secret_name != NULL, rt->options.asker_data);
  if (answer && secret_name) dr__secrets_add(rt->secrets, secret_name, answer);
  return answer;
}
