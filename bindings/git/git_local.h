/* git_local.h - what git_local.c and git_local_read.c share: a piece of work for libgit2 on a
 * worker thread. */
#ifndef DR_GIT_LOCAL_H
#define DR_GIT_LOCAL_H

#include "git.h"
#include "git_library.h"

#include <stdatomic.h>

typedef struct dr_git_job {
  uv_work_t work;
  dr_op *op; /* NULL once the op was released; not for the worker */
  char *folder;
  json_t *args; /* the op's, copied */
  json_t *(*act)(struct dr_git_job *job);
  atomic_bool stop;
  git_repository *repository; /* while the worker works */
  json_t *result;
  dr_err err;
} dr_git_job;

/* Fills the job's error from a status of libgit2; returns DR_FAILED. */
int dr__git_job_failed(dr_git_job *job, int status, const char *subject);

git_commit *dr__git_job_commit(dr_git_job *job, const char *revision);
json_t *dr__git_job_branch(dr_git_job *job);
json_t *dr__git_oid_text(const git_oid *oid);

/* The acts of git_local_read.c: a new result, or NULL with the job's error filled. */
json_t *dr__git_act_status(dr_git_job *job);
json_t *dr__git_act_log(dr_git_job *job);
json_t *dr__git_act_changed(dr_git_job *job);

/* git_local_submodules.c: adds the submodules that changed; DR_FAILED with the job's error. */
int dr__git_add_submodules(dr_git_job *job, json_t *changes);

#endif
