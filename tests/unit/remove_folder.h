/* remove_folder.h - takes away the folder that a unit test made. Included by tests that make one.
 */
#ifndef DR_TESTS_REMOVE_FOLDER_H
#define DR_TESTS_REMOVE_FOLDER_H

#include <ftw.h>
#include <stdio.h>

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where) {
  (void)info;
  (void)type;
  (void)where;
  return remove(path);
}

/* 0, or not when something is left. Links are not followed. */
static int remove_folder(const char *folder) {
  return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
