/* backup_thread.h - one piece of a backup on a thread of its own: bytes that pass through zstd, or
 * files that are hashed and brought to the disk. A thread and not one of libuv's four workers,
 * since it may take an hour and names must be resolved meanwhile. Runtime's thread.
 */
#ifndef DR_POSTGRES_BACKUP_THREAD_H
#define DR_POSTGRES_BACKUP_THREAD_H

#include <deployrun.h>

#include <stdatomic.h>
#include <uv.h>

typedef struct dr_backup_thread dr_backup_thread;

typedef struct dr_backup_work {
  /* On the thread, which touches nothing but `data`: DR_OK, or DR_FAILED with err filled. */
  int (*act)(void *data, dr_err *err);
  /* On the thread, after act failed and on_trouble is on its way: what still has to be waited for
   * there. Or NULL. */
  void (*after_trouble)(void *data);
  /* On the loop, when act failed but after_trouble may still take its time. Or NULL. */
  void (*on_trouble)(void *owner);
  /* On the loop, once, when the thread has ended; err.code[0] when act failed (may be moved from).
   */
  void (*on_end)(void *owner, dr_err *err);
  void *data; /* kept by the caller until on_end */
  void *owner;
} dr_backup_work;

/* Begins. Neither callback is called from inside. NULL with err filled when it cannot. */
dr_backup_thread *dr__backup_thread_start(uv_loop_t *loop, const dr_backup_work *work, dr_err *err);

#endif
