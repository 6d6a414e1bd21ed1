/* git_library.h - libgit2, loaded when git.open first asks something and not before, so that a
 * start stays quick. Included in place of <git2.h>; its functions are called as git2(NAME). Any
 * thread. */
#ifndef DR_GIT_LIBRARY_H
#define DR_GIT_LIBRARY_H

#include <git2.h>

#include <deployrun.h>

#define DR_GIT2_FUNCTIONS(X)                                                                       \
  X(git_commit_author)                                                                             \
  X(git_commit_free)                                                                               \
  X(git_commit_lookup)                                                                             \
  X(git_commit_message)                                                                            \
  X(git_commit_parent)                                                                             \
  X(git_commit_parentcount)                                                                        \
  X(git_commit_summary)                                                                            \
  X(git_commit_time)                                                                               \
  X(git_commit_tree)                                                                               \
  X(git_config_free)                                                                               \
  X(git_config_get_string)                                                                         \
  X(git_diff_free)                                                                                 \
  X(git_diff_get_delta)                                                                            \
  X(git_diff_num_deltas)                                                                           \
  X(git_diff_tree_to_tree)                                                                         \
  X(git_error_last)                                                                                \
  X(git_graph_ahead_behind)                                                                        \
  X(git_index_entrycount)                                                                          \
  X(git_index_free)                                                                                \
  X(git_index_get_byindex)                                                                         \
  X(git_libgit2_init)                                                                              \
  X(git_object_free)                                                                               \
  X(git_object_id)                                                                                 \
  X(git_object_peel)                                                                               \
  X(git_oid_equal)                                                                                 \
  X(git_oid_tostr)                                                                                 \
  X(git_reference_free)                                                                            \
  X(git_reference_lookup)                                                                          \
  X(git_reference_peel)                                                                            \
  X(git_reference_symbolic_target)                                                                 \
  X(git_reference_target)                                                                          \
  X(git_repository_config_snapshot)                                                                \
  X(git_repository_free)                                                                           \
  X(git_repository_head)                                                                           \
  X(git_repository_index)                                                                          \
  X(git_repository_is_bare)                                                                        \
  X(git_repository_open_ext)                                                                       \
  X(git_repository_workdir)                                                                        \
  X(git_revparse_single)                                                                           \
  X(git_revwalk_free)                                                                              \
  X(git_revwalk_hide)                                                                              \
  X(git_revwalk_new)                                                                               \
  X(git_revwalk_next)                                                                              \
  X(git_revwalk_push)                                                                              \
  X(git_revwalk_push_glob)                                                                         \
  X(git_revwalk_push_head)                                                                         \
  X(git_revwalk_sorting)                                                                           \
  X(git_signature_default)                                                                         \
  X(git_signature_free)                                                                            \
  X(git_status_byindex)                                                                            \
  X(git_status_list_entrycount)                                                                    \
  X(git_status_list_free)                                                                          \
  X(git_status_list_new)                                                                           \
  X(git_strarray_dispose)                                                                          \
  X(git_tag_create)                                                                                \
  X(git_tag_create_lightweight)                                                                    \
  X(git_tag_list)                                                                                  \
  X(git_tree_entry_bypath)                                                                         \
  X(git_tree_entry_free)                                                                           \
  X(git_tree_entry_id)                                                                             \
  X(git_tree_free)

typedef struct dr_git2 {
#define X(name) __typeof__(&(name)) name##_;
  DR_GIT2_FUNCTIONS(X)
#undef X
} dr_git2;

/* Filled by dr__git2_load(). */
extern dr_git2 dr__git2;

#define git2(name) (dr__git2.git_##name##_)

/* Loads the library unless it is loaded. Returns 0, or DR_FAILED with err filled (git.library). */
int dr__git2_load(dr_err *err);

#endif
