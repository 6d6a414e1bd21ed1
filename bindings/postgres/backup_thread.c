/* backup_thread.c - see backup_thread.h. Owns a thread and the uv_async it reports by; both are
 * gone when on_end has been called. Called by backup_job.c on the runtime's thread.
 */
#include "backup_thread.h"

#include "core/err.h"

#include <stdlib.h>

struct dr_backup_thread {
  dr_backup_work work;
  uv_thread_t thread;
  uv_async_t async;
  atomic_bool troubled;
  atomic_bool ended;
  bool told; /* on_trouble was called */
  dr_err err;
};

static void on_closed(uv_handle_t *handle) {
  dr_backup_thread *self = handle->data;
  self->work.on_end(self->work.owner, &self->err);
  dr_err_clear(&self->err);
  free(self);
}

static void on_report(uv_async_t *async) {
  dr_backup_thread *self = async->data;
  if (atomic_load(&self->ended)) {
    uv_thread_join(&self->thread);
    uv_close((uv_handle_t *)async, on_closed);
  } else if (atomic_load(&self->troubled) && !self->told) {
    self->told = true;
    if (self->work.on_trouble) self->work.on_trouble(self->work.owner);
  }
}

static void run(void *data) {
  dr_backup_thread *self = data;
  if (self->work.act(self->work.data, &self->err) != DR_OK && self->work.after_trouble) {
    atomic_store(&self->troubled, true);
    uv_async_send(&self->async);
    self->work.after_trouble(self->work.data);
  }
  atomic_store(&self->ended, true);
  uv_async_send(&self->async);
}

static void on_unused(uv_handle_t *handle) {
  free(handle->data);
}

dr_backup_thread *dr__backup_thread_start(uv_loop_t *loop, const dr_backup_work *work,
                                          dr_err *err) {
  dr_backup_thread *self = calloc(1, sizeof *self);
  if (!self || uv_async_init(loop, &self->async, on_report) != 0) {
    free(self);
    dr__err_nomem(err);
    return NULL;
  }
  self->work = *work;
  self->async.data = self;
  int failed = uv_thread_create(&self->thread, run, self);
  if (!failed) return self;
  uv_close((uv_handle_t *)&self->async, on_unused);
  dr__fail(err, "backup.setup", "no thread can be started: %s", uv_strerror(failed));
  return NULL;
}
