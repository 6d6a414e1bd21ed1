/* git_library.c - libgit2, loaded when it is first needed. Owns the table of its functions. Called
 * by git_local.c; any thread. */
#include "git_library.h"

#include "library.h"

/* libgit2 changes the name of its interface with every minor version: "libgit2.so.1.5". */
#define TEXT_(value) #value
#define TEXT(value) TEXT_(value)

dr_git2 dr__git2;

static const char *const names[] = {
#define X(name) #name,
    DR_GIT2_FUNCTIONS(X)
#undef X
        NULL};

static bool begin(void) {
  return git2(libgit2_init)() > 0;
}

static dr_library library = {
    .file = "libgit2.so." TEXT(LIBGIT2_VER_MAJOR) "." TEXT(LIBGIT2_VER_MINOR),
    .names = names,
    .table = &dr__git2,
    .begin = begin,
    .code = "git.library",
    .hint = "install it (Debian package libgit2-1.5), or use the program git: "
            "host(\"local\"):git(folder)",
};

int dr__git2_load(dr_err *err) {
  return dr__library_load(&library, err);
}
