/* git_local_submodules.c - the submodules of a status by libgit2, one by one: what its own status
 * says of them loses memory with each call (1.5). Called by git_local_read.c on a worker thread. */
#include "git_local.h"

#include "core/err.h"
#include "text.h"

#include <unistd.h>

/* What the submodule has against the index of the repository around it. Files in it that git does
 * not know do not count, as on a target; one that was never brought here is as it should be. */
static char letter_of_worktree(const char *folder, const git_oid *wanted) {
  git_status_options options = {.version = GIT_STATUS_OPTIONS_VERSION,
                                .show = GIT_STATUS_SHOW_INDEX_AND_WORKDIR,
                                .flags = GIT_STATUS_OPT_EXCLUDE_SUBMODULES};
  git_repository *inner = NULL;
  git_reference *head = NULL;
  git_status_list *list = NULL;
  int status = git2(repository_open_ext)(&inner, folder, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);
  if (status != 0) return access(folder, F_OK) == 0 ? '.' : 'D';
  bool changed = git2(repository_head)(&head, inner) != 0 ||
                 !git2(oid_equal)(git2(reference_target)(head), wanted) ||
                 git2(status_list_new)(&list, inner, &options) != 0 ||
                 git2(status_list_entrycount)(list) > 0;
  git2(status_list_free)(list);
  git2(reference_free)(head);
  git2(repository_free)(inner);
  return changed ? 'M' : '.';
}

/* What the index has against the commit; tree may be NULL, there is none yet. */
static char letter_of_index(const git_tree *tree, const git_index_entry *entry) {
  git_tree_entry *before = NULL;
  if (!tree || git2(tree_entry_bypath)(&before, tree, entry->path) != 0) return 'A';
  bool same = git2(oid_equal)(git2(tree_entry_id)(before), &entry->id);
  git2(tree_entry_free)(before);
  return same ? '.' : 'M';
}

static int add_submodule(dr_git_job *job, const git_tree *tree, const git_index_entry *entry,
                         json_t *changes) {
  dr_text folder = {0};
  dr__text_printf(&folder, "%s%s", git2(repository_workdir)(job->repository), entry->path);
  if (folder.failed) return dr__err_nomem(&job->err);
  char state[3] = {letter_of_index(tree, entry), letter_of_worktree(folder.bytes, &entry->id)};
  dr__text_free(&folder);
  if (state[0] != '.' || state[1] != '.')
    json_array_append_new(changes, json_pack("{s:s, s:s}", "state", state, "path", entry->path));
  return DR_OK;
}

int dr__git_add_submodules(dr_git_job *job, json_t *changes) {
  git_index *index = NULL;
  git_object *tree = NULL;
  int status = git2(repository_index)(&index, job->repository);
  if (status != 0) return dr__git_job_failed(job, status, NULL);
  (void)git2(revparse_single)(&tree, job->repository, "HEAD^{tree}");
  size_t count = git2(index_entrycount)(index);
  for (size_t i = 0; i < count && status == DR_OK && !atomic_load(&job->stop); i++) {
    const git_index_entry *entry = git2(index_get_byindex)(index, i);
    if (entry->mode == GIT_FILEMODE_COMMIT)
      status = add_submodule(job, (git_tree *)tree, entry, changes);
  }
  git2(object_free)(tree);
  git2(index_free)(index);
  return status;
}
