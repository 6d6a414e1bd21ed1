/* git_local.c - checkouts of this machine by libgit2: what git.open asks, and tags.
 *
 * Called by git.c on the runtime's thread; the work is done on libuv's worker threads, one job
 * each. A job has its own repository handle and its own copy of the arguments, and touches nothing
 * else; libgit2's error belongs to the thread and is copied into the job before the worker is left.
 * Long walks look at a flag, so that a run that is stopped does not wait for them.
 *
 * What changes files is not done here but by git (docs/decisions/0016-two-gits.md).
 */
#include "git.h"

#include "core/err.h"
#include "git_failure.h"
#include "git_library.h"
#include "git_local.h"
#include "ops/binding.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef dr_git_job job;

/* ------------------------------------------------------------ on the worker */

static const char *arg_text(const job *j, const char *name, const char *otherwise) {
  const char *text = json_string_value(json_object_get(j->args, name));
  return text ? text : otherwise;
}

int dr__git_job_failed(job *j, int status, const char *subject) {
  const git_error *last = git2(error_last)();
  const char *said = last && last->message ? last->message : "";
  const char *code = status == GIT_ENOTFOUND            ? "git.not_found"
                     : status == GIT_EINVALIDSPEC       ? "git.not_found"
                     : status == GIT_EAMBIGUOUS         ? "git.not_found"
                     : status == GIT_EUNBORNBRANCH      ? "git.not_found"
                     : status == GIT_EOWNER             ? "git.unsafe_owner"
                     : status == GIT_ELOCKED            ? "git.locked"
                     : status == GIT_EEXISTS            ? "git.exists"
                     : strstr(said, "No space left")    ? "git.no_space"
                     : strstr(said, "ermission denied") ? "git.denied"
                                                        : "git.failed";
  json_t *pairs = subject ? json_pack("{s:[s]}", "name", subject) : NULL;
  dr__git_failure(&j->err, code, pairs);
  json_decref(pairs);
  if (said[0]) dr__err_detail(&j->err, said, strlen(said));
  return DR_FAILED;
}

/* The first commit of a walk whose message fits; GIT_ITEROVER when there is none. */
static int next_fitting(git_object **out, job *j, git_revwalk *walk, const regex_t *wanted) {
  git_oid id;
  int status = 0;
  while (!*out && (status = git2(revwalk_next)(&id, walk)) == 0) {
    git_commit *commit = NULL;
    if (atomic_load(&j->stop)) return GIT_EUSER;
    status = git2(commit_lookup)(&commit, j->repository, &id);
    if (status != 0) return status;
    if (regexec(wanted, git2(commit_message)(commit), 0, NULL, 0) == 0)
      *out = (git_object *)commit;
    else
      git2(commit_free)(commit);
  }
  return status;
}

/* ":/TEXT", the youngest commit that any name leads to and whose message fits. By hand, because
 * libgit2 1.5 loses memory for each commit that does not. */
static int find_text(git_object **out, job *j, const char *text) {
  regex_t wanted;
  git_revwalk *walk = NULL;
  if (regcomp(&wanted, text, REG_EXTENDED | REG_NOSUB) != 0) return GIT_EINVALIDSPEC;
  int status = git2(revwalk_new)(&walk, j->repository);
  if (status == 0) status = git2(revwalk_sorting)(walk, GIT_SORT_TIME);
  if (status == 0) status = git2(revwalk_push_glob)(walk, "*");
  if (status == 0) (void)git2(revwalk_push_head)(walk); /* there may be no commit yet */
  if (status == 0) status = next_fitting(out, j, walk, &wanted);
  git2(revwalk_free)(walk);
  regfree(&wanted);
  return status == GIT_ITEROVER ? GIT_ENOTFOUND : status;
}

/* The commit a revision names; NULL with the job's error filled. */
git_commit *dr__git_job_commit(job *j, const char *revision) {
  git_object *object = NULL;
  git_object *commit = NULL;
  bool by_text = strncmp(revision, ":/", 2) == 0;
  int status = by_text ? find_text(&object, j, revision + 2)
                       : git2(revparse_single)(&object, j->repository, revision);
  if (status == 0) status = git2(object_peel)(&commit, object, GIT_OBJECT_COMMIT);
  git2(object_free)(object);
  if (status != 0) dr__git_job_failed(j, status, revision);
  return (git_commit *)commit;
}

json_t *dr__git_oid_text(const git_oid *oid) {
  char hex[GIT_OID_HEXSZ + 1];
  git2(oid_tostr)(hex, sizeof hex, oid);
  return json_string(hex);
}

static json_t *act_commit(job *j) {
  git_commit *commit = dr__git_job_commit(j, arg_text(j, "revision", "HEAD"));
  if (!commit) return NULL;
  json_t *result =
      json_pack("{s:o}", "commit", dr__git_oid_text(git2(object_id)((git_object *)commit)));
  git2(commit_free)(commit);
  return result;
}

/* The branch's name without refs/heads/, also of one that has no commit yet; NULL: HEAD is
 * detached. */
json_t *dr__git_job_branch(job *j) {
  static const char heads[] = "refs/heads/";
  git_reference *head = NULL;
  json_t *name = NULL;
  if (git2(reference_lookup)(&head, j->repository, "HEAD") != 0) return NULL;
  const char *full = git2(reference_symbolic_target)(head);
  if (full && strncmp(full, heads, sizeof heads - 1) == 0)
    name = json_stringn_nocheck(full + sizeof heads - 1, strlen(full) - (sizeof heads - 1));
  git2(reference_free)(head);
  return name;
}

static json_t *act_branch(job *j) {
  return json_pack("{s:o*}", "branch", dr__git_job_branch(j));
}

/* Whether the tag's name leads to the commit; *at is where it leads, when there is such a tag. */
static int find_tag(job *j, const char *name, git_oid *at) {
  char full[512];
  git_reference *reference = NULL;
  git_object *commit = NULL;
  snprintf(full, sizeof full, "refs/tags/%s", name);
  int status = git2(reference_lookup)(&reference, j->repository, full);
  if (status == 0) status = git2(reference_peel)(&commit, reference, GIT_OBJECT_COMMIT);
  if (status == 0) *at = *git2(object_id)(commit);
  git2(object_free)(commit);
  git2(reference_free)(reference);
  return status;
}

static json_t *act_tags(job *j) {
  git_strarray names = {0};
  git_commit *commit = dr__git_job_commit(j, arg_text(j, "revision", "HEAD"));
  if (!commit) return NULL;
  git_oid wanted = *git2(object_id)((git_object *)commit);
  json_t *tags = json_array();
  int status = git2(tag_list)(&names, j->repository);
  for (size_t i = 0; status == 0 && i < names.count && !atomic_load(&j->stop); i++) {
    git_oid at;
    if (find_tag(j, names.strings[i], &at) == 0 && git2(oid_equal)(&at, &wanted))
      json_array_append_new(tags, json_string(names.strings[i]));
  }
  git2(strarray_dispose)(&names);
  git2(commit_free)(commit);
  if (status == 0) return json_pack("{s:o}", "tags", tags);
  json_decref(tags);
  dr__git_job_failed(j, status, NULL);
  return NULL;
}

/* Makes the tag; with a message it is one of its own, by whom git is configured for. */
static int make_tag(job *j, const char *name, const git_commit *commit) {
  const char *message = arg_text(j, "message", NULL);
  git_signature *tagger = NULL;
  git_oid made;
  const git_object *object = (const git_object *)commit;
  int status = 0;
  if (message && git2(signature_default)(&tagger, j->repository) != 0)
    return dr__git_failure(&j->err, "git.no_identity", NULL);
  if (message)
    status = git2(tag_create)(&made, j->repository, name, object, tagger, message, 0);
  else
    status = git2(tag_create_lightweight)(&made, j->repository, name, object, 0);
  git2(signature_free)(tagger);
  return status == 0 ? DR_OK : dr__git_job_failed(j, status, name);
}

static int tag_elsewhere(job *j, const char *name, const git_oid *at) {
  char hex[GIT_OID_HEXSZ + 1];
  git2(oid_tostr)(hex, sizeof hex, at);
  json_t *pairs = json_pack("{s:[o]}", "name", json_sprintf("the tag %s is at %.12s", name, hex));
  dr__git_failure(&j->err, "git.exists", pairs);
  json_decref(pairs);
  return DR_FAILED;
}

static json_t *act_tag(job *j) {
  const char *name = arg_text(j, "name", "");
  git_commit *commit = dr__git_job_commit(j, arg_text(j, "revision", "HEAD"));
  if (!commit) return NULL;
  const git_oid *wanted = git2(object_id)((git_object *)commit);
  git_oid at;
  bool there = find_tag(j, name, &at) == 0;
  int status = DR_OK;
  if (there && !git2(oid_equal)(&at, wanted))
    status = tag_elsewhere(j, name, &at);
  else if (!there)
    status = make_tag(j, name, commit);
  json_t *result = status == DR_OK ? json_pack("{s:b, s:o}", "created", !there, "commit",
                                               dr__git_oid_text(wanted))
                                   : NULL;
  git2(commit_free)(commit);
  return result;
}

/* Opens the checkout the folder is in. libgit2 1.5.1 says "not found" of a checkout of another user
 * where nothing at all is configured as safe.directory. */
static int open_checkout(job *j) {
  int status = git2(repository_open_ext)(&j->repository, j->folder, 0, NULL);
  const git_error *last = status == GIT_ENOTFOUND ? git2(error_last)() : NULL;
  if (last && last->message && strstr(last->message, "safe.directory")) status = GIT_EOWNER;
  if (status == GIT_ENOTFOUND || (status == 0 && git2(repository_is_bare)(j->repository)))
    return dr__git_failure(&j->err, "git.not_a_checkout", NULL);
  return status == 0 ? DR_OK : dr__git_job_failed(j, status, NULL);
}

static json_t *act_is_checkout(job *j) {
  bool yes = open_checkout(j) == DR_OK;
  if (!yes && strcmp(j->err.code, "git.not_a_checkout") != 0) return NULL;
  dr_err_clear(&j->err);
  return json_pack("{s:b}", "yes", yes);
}

static const struct act {
  const char *op;
  json_t *(*act)(job *j);
} acts[] = {
    {"git.head", act_commit},
    {"git.commit", act_commit},
    {"git.branch", act_branch},
    {"git.status", dr__git_act_status},
    {"git.log", dr__git_act_log},
    {"git.changed", dr__git_act_changed},
    {"git.tags", act_tags},
    {"git.tag", act_tag},
    {"git.is_checkout", act_is_checkout},
};

static void on_work(uv_work_t *work) {
  job *j = work->data;
  if (dr__git2_load(&j->err) != DR_OK) return;
  if (j->act == act_is_checkout || open_checkout(j) == DR_OK) j->result = j->act(j);
  git2(repository_free)(j->repository);
  if (!j->result && !j->err.code[0]) dr__err_nomem(&j->err);
}

/* ------------------------------------------------------------ on the loop */

static void free_job(job *j) {
  json_decref(j->result);
  json_decref(j->args);
  dr_err_clear(&j->err);
  free(j->folder);
  free(j);
}

static void on_worked(uv_work_t *work, int status) {
  job *j = work->data;
  dr_op *op = j->op;
  if (op) op->self = NULL;
  if (status == UV_ECANCELED || (op && atomic_load(&j->stop)))
    dr__fail(&j->err, "cancelled", "it was stopped");
  if (op && !j->err.code[0]) {
    dr__op_done(op, json_incref(j->result));
  } else if (op && !dr__git_inquire(op, &j->err)) {
    dr__op_fail(op, &j->err);
  }
  free_job(j);
}

static void on_cancel(dr_op *op) {
  job *j = op->self;
  if (!j) return;
  atomic_store(&j->stop, true);
  uv_cancel((uv_req_t *)&j->work); /* when it has not begun */
}

static void on_release(dr_op *op) {
  job *j = op->self;
  on_cancel(op);
  if (j) j->op = NULL;
  op->self = NULL;
}

/* The folder as the library takes it; malloc'd. */
static char *folder_of(const dr_op *op) {
  const char *cwd = dr__arg_string(op, "folder", op->target->cwd);
  const char *home = getenv("HOME");
  char *whole = NULL;
  if (!cwd) cwd = ".";
  if (home && cwd[0] == '~' && (cwd[1] == '/' || cwd[1] == '\0'))
    return asprintf(&whole, "%s%s", home, cwd + 1) < 0 ? NULL : whole;
  return strdup(cwd);
}

int dr__git_local(dr_op *op, dr_err *err) {
  job *j = NULL;
  for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
    if (strcmp(acts[i].op, op->spec->name) != 0) continue;
    j = calloc(1, sizeof *j);
    if (j) j->act = acts[i].act;
    break;
  }
  if (!j) return dr__err_nomem(err);
  j->op = op;
  j->work.data = j;
  j->args = json_deep_copy(op->args);
  j->folder = folder_of(op);
  if (!j->args || !j->folder || uv_queue_work(op->loop, &j->work, on_work, on_worked) != 0) {
    free_job(j);
    return dr__err_nomem(err);
  }
  op->self = j;
  op->cancel = on_cancel;
  op->release = on_release;
  return DR_OK;
}
