/* library.h - a shared library that is loaded when it is first needed, so that a start does not pay
 * for it. Used by the *_library.h headers; any thread. */
#ifndef DR_LIBRARY_H
#define DR_LIBRARY_H

#include <deployrun.h>

typedef struct dr_library {
  const char *file;         /* the name of the interface this was compiled for: "libcurl.so.4" */
  const char *const *names; /* of its functions; ends with NULL */
  void *table;              /* gets their addresses, one after the other */
  bool (*begin)(void);      /* what the library wants to be called first; or NULL */
  const char *code;         /* of the error, "http.setup" */
  const char *hint;         /* which package brings it */
  /* --- its own */
  bool loaded;
  char problem[256]; /* why it cannot be loaded; "": not tried yet */
} dr_library;

/* Loads the library unless it is loaded; it is never given back. Returns 0, or DR_FAILED with err
 * filled. */
int dr__library_load(dr_library *library, dr_err *err);

#endif
