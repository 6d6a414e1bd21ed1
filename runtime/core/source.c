/* core/source.c - the Lua files of a runtime: where they are found, and their text, read once and
 * kept, so that the run executes exactly the bytes that the dry run before it read. */
#include "core/params.h"
#include "core/runtime.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LARGEST_SOURCE = 4 << 20 };

static bool is_file(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static bool is_folder(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static char *joined(const char *folder, const char *name, const char *ending) {
  char *path = NULL;
  return asprintf(&path, "%s/%s%s", folder, name, ending) < 0 ? NULL : path;
}

static int read_whole(const char *path, char **text, size_t *length, dr_err *err) {
  FILE *file = fopen(path, "re");
  if (!file) return dr__fail(err, "usage.file", "cannot read %s: %s", path, strerror(errno));
  char *buffer = malloc(LARGEST_SOURCE + 1);
  size_t got = buffer ? fread(buffer, 1, LARGEST_SOURCE + 1, file) : 0;
  int failed = !buffer ? dr__err_nomem(err)
               : ferror(file)
                   ? dr__fail(err, "usage.file", "cannot read %s: %s", path, strerror(errno))
               : got > LARGEST_SOURCE
                   ? dr__fail(err, "usage.file", "%s is larger than 4 MiB: not a recipe", path)
                   : 0;
  fclose(file);
  *text = buffer;
  *length = got;
  return failed;
}

const json_t *dr__source_read(dr_runtime *rt, const char *path, dr_err *err) {
  json_t *known = json_object_get(rt->sources, path);
  if (known) return known;
  char *text = NULL;
  size_t length = 0;
  if (read_whole(path, &text, &length, err) == 0) {
    known = json_stringn_nocheck(text, length);
    if (!known || json_object_set_new_nocheck(rt->sources, path, known) != 0) {
      dr__err_nomem(err);
      known = NULL;
    }
  }
  free(text);
  return known;
}

/* The recipe of a folder whose name, without .lua, is nearer than `best`; "" when there is none. */
static void find_near(const char *folder, const char *name, size_t *best, char near[NAME_MAX + 1]) {
  DIR *dir = opendir(folder);
  near[0] = '\0';
  for (struct dirent *entry; dir && (entry = readdir(dir));) {
    char *ending = strrchr(entry->d_name, '.');
    if (!ending || strcmp(ending, ".lua") != 0) continue;
    *ending = '\0';
    size_t distance = dr__name_distance(name, entry->d_name);
    if (distance >= *best) continue;
    *best = distance;
    dr__copy_text(near, NAME_MAX + 1, entry->d_name);
  }
  if (dir) closedir(dir);
}

/* The bundled recipe, or that in the folder where this one was looked for, whose name is nearest,
 * for the hint. */
static void hint_near(const char *bundled, const char *recipe, dr_err *err) {
  char name[NAME_MAX + 1], near[NAME_MAX + 1] = "", own[NAME_MAX + 1];
  const char *slash = strrchr(recipe, '/');
  int above = slash ? (int)(slash + 1 - recipe) : 0;
  dr__copy_text(name, sizeof name, recipe + above);
  char *ending = strrchr(name, '.');
  if (ending && strcmp(ending, ".lua") == 0) *ending = '\0';
  size_t best = strlen(name) / 3 + 2;
  if (bundled) find_near(bundled, name, &best, near);
  char *folder = above ? strndup(recipe, (size_t)above) : strdup(".");
  find_near(folder ? folder : ".", name, &best, own);
  free(folder);
  if (own[0])
    dr__err_hint(err, "did you mean '%.*s%s.lua'?", above, recipe, own);
  else if (near[0])
    dr__err_hint(err, "did you mean '%s'? `deployrun list` shows the bundled recipes", near);
  else
    dr__err_hint(err, "give the path of a recipe, or one of the names that `deployrun list` shows");
}

/* A copy of the path (malloc'd); NULL without memory, with err filled. */
static char *copied(const char *path, dr_err *err) {
  char *copy = strdup(path);
  if (!copy) dr__err_nomem(err);
  return copy;
}

char *dr__source_recipe(dr_runtime *rt, const char *recipe, dr_err *err) {
  if (is_file(recipe)) return copied(recipe, err);
  const char *folder = rt->options.recipes_dir;
  const char *name = strncmp(recipe, "recipes/", 8) == 0 ? recipe + 8 : recipe;
  const char *ending = strstr(name, ".lua") ? "" : ".lua";
  const bool may_be_bundled = folder && !strchr(name, '/');
  char *bundled = may_be_bundled ? joined(folder, name, ending) : NULL;
  if (may_be_bundled && !bundled) {
    dr__err_nomem(err);
    return NULL;
  }
  if (bundled && is_file(bundled)) return bundled;
  free(bundled);
  if (is_folder(recipe)) {
    dr__fail(err, "usage.file", "%s is a folder, not a recipe", recipe);
    dr__err_hint(err, "name the recipe in it: a .lua file");
    return NULL;
  }
  dr__fail(err, "usage.file",
           "there is no recipe '%s': no such file, and no bundled recipe of that name", recipe);
  hint_near(folder, recipe, err);
  return NULL;
}

char *dr__source_module(dr_runtime *rt, const char *module, dr_err *err) {
  char name[256];
  dr__copy_text(name, sizeof name, module);
  for (char *at = name; *at; at++) {
    if (*at == '.') *at = '/';
  }
  if (name[0] == '/' || strstr(name, "//")) return NULL;
  const char *recipe = rt->recipe_path ? rt->recipe_path : "";
  const char *slash = strrchr(recipe, '/');
  char *own = slash ? strndup(recipe, (size_t)(slash - recipe)) : strdup(".");
  char *path = own ? joined(own, name, ".lua") : NULL;
  free(own);
  if (path && rt->options.recipes_dir && !is_file(path)) {
    free(path);
    path = joined(rt->options.recipes_dir, name, ".lua");
  }
  if (!path) dr__err_nomem(err);
  if (!path || is_file(path)) return path;
  free(path);
  return NULL;
}

char *dr__source_bundled(void) {
  const char *named = getenv("DEPLOYRUN_RECIPES");
  if (named && *named) return strdup(named);
  char self[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  if (length > 0) {
    self[length] = '\0';
    char *slash = strrchr(self, '/');
    if (slash) *slash = '\0';
    char *path = joined(self, "../share/deployrun/recipes", "");
    char *real = path && is_folder(path) ? realpath(path, NULL) : NULL;
    free(path);
    if (real) return real;
  }
  return strdup(is_folder(DEPLOYRUN_SOURCE_RECIPES) ? DEPLOYRUN_SOURCE_RECIPES
                                                    : DEPLOYRUN_RECIPES_DIR);
}
