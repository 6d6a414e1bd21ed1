/* library.c - see library.h. Owns the lock under which libraries are loaded. Any thread. */
#include "library.h"

#include "core/err.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

/* Puts the functions' addresses into the table. */
static bool find_functions(dr_library *library, void *handle) {
  char *place = library->table;
  for (const char *const *name = library->names; *name; name++) {
    void *function = dlsym(handle, *name);
    if (!function) {
      snprintf(library->problem, sizeof library->problem, "%s has no %s", library->file, *name);
      return false;
    }
    memcpy(place, &function, sizeof function);
    place += sizeof function;
  }
  return true;
}

static void load(dr_library *library) {
  void *handle = dlopen(library->file, RTLD_LAZY | RTLD_LOCAL);
  if (!handle) {
    const char *why = dlerror();
    dr__copy_text(library->problem, sizeof library->problem, why ? why : library->file);
    return;
  }
  if (!find_functions(library, handle)) return;
  library->loaded = !library->begin || library->begin();
  if (!library->loaded)
    snprintf(library->problem, sizeof library->problem, "%s does not begin", library->file);
}

int dr__library_load(dr_library *library, dr_err *err) {
  pthread_mutex_lock(&loading);
  if (!library->loaded && !library->problem[0]) load(library);
  bool loaded = library->loaded;
  pthread_mutex_unlock(&loading);
  if (loaded) return DR_OK;
  dr__fail(err, library->code, "a library cannot be loaded: %s", library->problem);
  dr__err_hint(err, "%s", library->hint);
  return DR_FAILED;
}
