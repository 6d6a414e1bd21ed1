/* git_local_read.c - status, log and changed paths by libgit2, in the shapes git_status.c and
 * git_pairs.c give to what git writes. Called by git_local.c on a worker thread. */
#include "git_local.h"

#include "core/err.h"

#include <stdio.h>
#include <string.h>

typedef dr_git_job job;

/* ------------------------------------------------------------ status */

/* git's two letters: what the index has against HEAD, what the file has against the index. */
static void letters(unsigned flags, char state[3]) {
  static const struct {
    unsigned flag;
    int place;
    char letter;
  } meanings[] = {
      {GIT_STATUS_INDEX_NEW, 0, 'A'},        {GIT_STATUS_INDEX_MODIFIED, 0, 'M'},
      {GIT_STATUS_INDEX_DELETED, 0, 'D'},    {GIT_STATUS_INDEX_RENAMED, 0, 'R'},
      {GIT_STATUS_INDEX_TYPECHANGE, 0, 'T'}, {GIT_STATUS_WT_MODIFIED, 1, 'M'},
      {GIT_STATUS_WT_DELETED, 1, 'D'},       {GIT_STATUS_WT_TYPECHANGE, 1, 'T'},
      {GIT_STATUS_WT_RENAMED, 1, 'R'},
  };
  memcpy(state, flags & GIT_STATUS_CONFLICTED ? "UU" : flags & GIT_STATUS_WT_NEW ? "??" : "..", 3);
  if (state[0] != '.') return;
  for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
    if (flags & meanings[i].flag) state[meanings[i].place] = meanings[i].letter;
}

static json_t *change_of(const git_status_entry *entry) {
  char state[3];
  const git_diff_delta *delta =
      entry->head_to_index ? entry->head_to_index : entry->index_to_workdir;
  const char *path = delta->new_file.path ? delta->new_file.path : delta->old_file.path;
  letters(entry->status, state);
  json_t *change =
      json_pack("{s:s, s:o}", "state", state, "path", json_stringn_nocheck(path, strlen(path)));
  if (change && entry->status & GIT_STATUS_INDEX_RENAMED)
    json_object_set_new(change, "from",
                        json_stringn_nocheck(delta->old_file.path, strlen(delta->old_file.path)));
  return change;
}

static int add_changes(job *j, json_t *changes) {
  git_status_options options = {.version = GIT_STATUS_OPTIONS_VERSION};
  git_status_list *list = NULL;
  options.show = GIT_STATUS_SHOW_INDEX_AND_WORKDIR;
  options.flags = GIT_STATUS_OPT_INCLUDE_UNTRACKED | GIT_STATUS_OPT_RENAMES_HEAD_TO_INDEX |
                  GIT_STATUS_OPT_EXCLUDE_SUBMODULES;
  int status = git2(status_list_new)(&list, j->repository, &options);
  size_t count = status == 0 ? git2(status_list_entrycount)(list) : 0;
  for (size_t i = 0; i < count && !atomic_load(&j->stop); i++)
    json_array_append_new(changes, change_of(git2(status_byindex)(list, i)));
  git2(status_list_free)(list);
  return status == 0 ? DR_OK : dr__git_job_failed(j, status, NULL);
}

/* The branch the checked-out one follows, "origin/main", out of the configuration; false when there
 * is none. git_branch_upstream would do it, but libgit2 1.5 loses memory there with each call. */
static bool upstream_of(job *j, const char *branch, char *name, size_t size) {
  static const char heads[] = "refs/heads/";
  git_config *config = NULL;
  const char *remote = NULL;
  const char *merge = NULL;
  char key[512];
  if (git2(repository_config_snapshot)(&config, j->repository) != 0) return false;
  snprintf(key, sizeof key, "branch.%s.remote", branch);
  bool found = git2(config_get_string)(&remote, config, key) == 0;
  snprintf(key, sizeof key, "branch.%s.merge", branch);
  found = found && git2(config_get_string)(&merge, config, key) == 0 &&
          strncmp(merge, heads, sizeof heads - 1) == 0;
  if (found) snprintf(name, size, "%s/%s", remote, merge + sizeof heads - 1);
  git2(config_free)(config);
  return found;
}

/* Adds the upstream and how far it is apart, as far as the last fetch knows. */
static void add_upstream(job *j, json_t *result, const git_oid *here) {
  char name[512];
  char full[576];
  size_t ahead = 0;
  size_t behind = 0;
  git_reference *upstream = NULL;
  const char *branch = json_string_value(json_object_get(result, "branch"));
  if (!branch || !upstream_of(j, branch, name, sizeof name)) return;
  json_object_set_new(result, "upstream", json_stringn_nocheck(name, strlen(name)));
  snprintf(full, sizeof full, "refs/remotes/%s", name);
  if (git2(reference_lookup)(&upstream, j->repository, full) != 0) return;
  const git_oid *there = git2(reference_target)(upstream);
  if (there && git2(graph_ahead_behind)(&ahead, &behind, j->repository, here, there) == 0) {
    json_object_set_new(result, "ahead", json_integer((json_int_t)ahead));
    json_object_set_new(result, "behind", json_integer((json_int_t)behind));
  }
  git2(reference_free)(upstream);
}

/* Adds branch, head and upstream, as far as they are there. */
static void add_place(job *j, json_t *result) {
  git_reference *head = NULL;
  json_t *branch = dr__git_job_branch(j);
  if (branch) json_object_set_new(result, "branch", branch);
  if (git2(repository_head)(&head, j->repository) != 0) return;
  json_object_set_new(result, "head", dr__git_oid_text(git2(reference_target)(head)));
  add_upstream(j, result, git2(reference_target)(head));
  git2(reference_free)(head);
}

json_t *dr__git_act_status(job *j) {
  json_t *result = json_pack("{s:[]}", "changes");
  json_t *changes = json_object_get(result, "changes");
  if (result && add_changes(j, changes) == DR_OK && dr__git_add_submodules(j, changes) == DR_OK) {
    json_object_set_new(result, "clean", json_boolean(json_array_size(changes) == 0));
    add_place(j, result);
    return result;
  }
  json_decref(result);
  return NULL;
}

/* ------------------------------------------------------------ changed and log */

enum { PATHS_MAX = 256 };

/* Options with the paths that were asked for; `names` is room for them, borrowed from the job. */
static git_diff_options options_of(const job *j, char **names) {
  git_diff_options options = {.version = GIT_DIFF_OPTIONS_VERSION,
                              .ignore_submodules = GIT_SUBMODULE_IGNORE_UNSPECIFIED};
  const json_t *paths = json_object_get(j->args, "paths");
  size_t count = json_array_size(paths);
  if (count > PATHS_MAX) count = PATHS_MAX;
  for (size_t i = 0; i < count; i++) names[i] = (char *)json_string_value(json_array_get(paths, i));
  options.pathspec.strings = names;
  options.pathspec.count = count;
  return options;
}

/* What differs between two commits; from may be NULL, which is nothing at all. NULL with the error
 * filled. */
static git_diff *diff_of(job *j, const git_commit *from, const git_commit *to) {
  char *names[PATHS_MAX];
  git_tree *trees[2] = {NULL, NULL};
  git_diff *diff = NULL;
  git_diff_options options = options_of(j, names);
  int status = from ? git2(commit_tree)(&trees[0], from) : 0;
  if (status == 0) status = git2(commit_tree)(&trees[1], to);
  if (status == 0)
    status = git2(diff_tree_to_tree)(&diff, j->repository, trees[0], trees[1], &options);
  git2(tree_free)(trees[0]);
  git2(tree_free)(trees[1]);
  if (status != 0) dr__git_job_failed(j, status, NULL);
  return diff;
}

static json_t *paths_of(const git_diff *diff) {
  json_t *paths = json_array();
  for (size_t i = 0; i < git2(diff_num_deltas)(diff); i++) {
    const char *path = git2(diff_get_delta)(diff, i)->new_file.path;
    json_array_append_new(paths, json_stringn_nocheck(path, strlen(path)));
  }
  return json_pack("{s:o}", "paths", paths);
}

static const char *arg_text(const job *j, const char *name, const char *otherwise) {
  const char *text = json_string_value(json_object_get(j->args, name));
  return text ? text : otherwise;
}

json_t *dr__git_act_changed(job *j) {
  git_commit *from = dr__git_job_commit(j, arg_text(j, "from", ""));
  git_commit *to = from ? dr__git_job_commit(j, arg_text(j, "to", "HEAD")) : NULL;
  git_diff *diff = to ? diff_of(j, from, to) : NULL;
  json_t *result = diff ? paths_of(diff) : NULL;
  git2(diff_free)(diff);
  git2(commit_free)(from);
  git2(commit_free)(to);
  return result;
}

/* True when the commit differs from each of its parents in the paths that were asked for; every
 * commit does when none were. */
static bool touches_paths(job *j, const git_commit *commit) {
  if (json_array_size(json_object_get(j->args, "paths")) == 0) return true;
  unsigned parents = git2(commit_parentcount)(commit);
  bool touches = true;
  for (unsigned i = 0; touches && (i < parents || i == 0); i++) {
    git_commit *parent = NULL;
    if (parents > 0) git2(commit_parent)(&parent, commit, i);
    git_diff *diff = diff_of(j, parent, commit);
    touches = diff && git2(diff_num_deltas)(diff) > 0;
    git2(diff_free)(diff);
    git2(commit_free)(parent);
  }
  return touches;
}

static json_t *entry_of(const git_commit *commit, const git_oid *id) {
  const git_signature *author = git2(commit_author)(commit);
  const char *subject = git2(commit_summary)((git_commit *)commit);
  if (!subject) subject = "";
  return json_pack("{s:o, s:I, s:o, s:o}", "commit", dr__git_oid_text(id), "time",
                   (json_int_t)git2(commit_time)(commit), "author",
                   json_stringn_nocheck(author->name, strlen(author->name)), "subject",
                   json_stringn_nocheck(subject, strlen(subject)));
}

static int add_commits(job *j, git_revwalk *walk, json_t *commits) {
  json_t *limit = json_object_get(j->args, "limit");
  size_t most = limit ? (size_t)json_integer_value(limit) : 100;
  git_oid id;
  int status = 0;
  while (json_array_size(commits) < most && !atomic_load(&j->stop) &&
         (status = git2(revwalk_next)(&id, walk)) == 0) {
    git_commit *commit = NULL;
    status = git2(commit_lookup)(&commit, j->repository, &id);
    if (status != 0) break;
    if (touches_paths(j, commit)) json_array_append_new(commits, entry_of(commit, &id));
    git2(commit_free)(commit);
    if (j->err.code[0]) return DR_FAILED;
  }
  return status == 0 || status == GIT_ITEROVER ? DR_OK : dr__git_job_failed(j, status, NULL);
}

/* Lets the walk begin at one commit and end before another. */
static int bound_walk(job *j, git_revwalk *walk) {
  const char *hidden = arg_text(j, "from", NULL);
  git_commit *to = dr__git_job_commit(j, arg_text(j, "to", "HEAD"));
  git_commit *from = to && hidden ? dr__git_job_commit(j, hidden) : NULL;
  bool found = to && (from || !hidden);
  int status = found ? git2(revwalk_push)(walk, git2(object_id)((git_object *)to)) : 0;
  if (from && status == 0) status = git2(revwalk_hide)(walk, git2(object_id)((git_object *)from));
  git2(commit_free)(to);
  git2(commit_free)(from);
  if (!found) return DR_FAILED;
  return status == 0 ? DR_OK : dr__git_job_failed(j, status, NULL);
}

json_t *dr__git_act_log(job *j) {
  git_revwalk *walk = NULL;
  json_t *commits = json_array();
  int status = git2(revwalk_new)(&walk, j->repository);
  if (status != 0) {
    dr__git_job_failed(j, status, NULL);
  } else {
    git2(revwalk_sorting)(walk, GIT_SORT_TIME);
    status = bound_walk(j, walk);
    if (status == DR_OK) status = add_commits(j, walk, commits);
  }
  git2(revwalk_free)(walk);
  if (status == 0) return json_pack("{s:o}", "commits", commits);
  json_decref(commits);
  return NULL;
}
