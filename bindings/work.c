/* work.c - see work.h. Called by ops on the runtime's thread; `act` alone runs on a worker. */
#include "work.h"

#include "core/err.h"
#include "core/json.h"

#include <stdlib.h>

static void free_work(dr_work *w) {
  if (w->free_data && w->data) w->free_data(w->data);
  json_decref(w->result);
  dr_err_clear(&w->err);
  free(w);
}

static void on_work(uv_work_t *request) {
  dr_work *w = request->data;
  const unsigned long before = dr__json_denied();
  w->act(w);
  if (dr__json_denied() != before) dr__err_nomem(&w->err); /* a part may be lacking */
}

static void on_worked(uv_work_t *request, int status) {
  dr_work *w = request->data;
  dr_op *op = w->op;
  if (status == UV_ECANCELED || (op && atomic_load(&w->stop)))
    dr__fail(&w->err, "cancelled", "it was stopped");
  if (op) {
    op->self = NULL;
    op->cancel = NULL;
    op->release = NULL;
  }
  if (op && w->err.code[0])
    dr__op_fail(op, &w->err);
  else if (op && w->after)
    w->after(op, w);
  else if (op)
    dr__op_done(op, json_incref(w->result));
  free_work(w);
}

static void on_cancel(dr_op *op) {
  dr_work *w = op->self;
  atomic_store(&w->stop, true);
  uv_cancel((uv_req_t *)&w->request); /* when it has not begun */
}

static void on_release(dr_op *op) {
  dr_work *w = op->self;
  on_cancel(op);
  w->op = NULL;
  op->self = NULL;
}

int dr__work_start(dr_op *op, int (*act)(dr_work *work), void (*after)(dr_op *op, dr_work *work),
                   void *data, void (*free_data)(void *data), dr_err *err) {
  dr_work *w = data ? calloc(1, sizeof *w) : NULL;
  if (!w) {
    if (data) free_data(data);
    return dr__err_nomem(err);
  }
  w->op = op;
  w->act = act;
  w->after = after;
  w->data = data;
  w->free_data = free_data;
  w->request.data = w;
  if (uv_queue_work(op->loop, &w->request, on_work, on_worked) != 0) {
    free_work(w);
    return dr__err_nomem(err);
  }
  op->self = w;
  op->cancel = on_cancel;
  op->release = on_release;
  return DR_OK;
}
