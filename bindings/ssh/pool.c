/* ssh/pool.c - what the SSH connections of one runtime share: the queue of news to the loop, the
 * answers of a person, and the end of it all.
 *
 * Called by transport.c, tunnel.c and the runtime on the loop's thread; dr__ssh_tell() also by
 * session threads.
 */
#include "internal.h"

#include "core/err.h"

#include <stdlib.h>
#include <string.h>

void dr__ssh_tell(dr_ssh_pool *pool, dr_ssh_news *news) {
  if (news->queued) return;
  news->queued = true;
  news->next = NULL;
  *pool->news_end = news;
  pool->news_end = &news->next;
  uv_cond_signal(&pool->told);
  uv_async_send(&pool->async);
}

static dr_ssh_news *take_news(dr_ssh_pool *pool) {
  uv_mutex_lock(&pool->lock);
  dr_ssh_news *news = pool->news;
  if (news != NULL) {
    pool->news = news->next;
    if (pool->news == NULL) pool->news_end = &pool->news;
    news->queued = false;
  }
  uv_mutex_unlock(&pool->lock);
  return news;
}

/* Delivers what is queued now; what comes meanwhile is for the next turn, so that output which
 * never ends does not keep the loop from its other work. May be entered again from a callback that
 * closes the pool. */
static void deliver_news(dr_ssh_pool *pool) {
  size_t count = 0;
  uv_mutex_lock(&pool->lock);
  for (dr_ssh_news *news = pool->news; news != NULL; news = news->next) count++;
  uv_mutex_unlock(&pool->lock);
  dr_ssh_news *news;
  while (count-- > 0 && (news = take_news(pool)) != NULL) news->deliver(news);
  uv_mutex_lock(&pool->lock);
  if (pool->news != NULL && !pool->closed) uv_async_send(&pool->async);
  uv_mutex_unlock(&pool->lock);
}

static void on_async(uv_async_t *async) {
  dr_ssh_pool *pool = async->data;
  if (!pool->closed) deliver_news(pool);
}

static void free_pool(dr_ssh_pool *pool) {
  uv_cond_destroy(&pool->told);
  uv_mutex_destroy(&pool->lock);
  free(pool);
}

int dr__ssh_pool_new(dr_ssh_pool **out, uv_loop_t *loop, const dr_ssh_pool_options *options,
                     dr_err *err) {
  dr_ssh_pool *pool = calloc(1, sizeof *pool);
  *out = NULL;
  if (pool == NULL) return dr__err_nomem(err);
  pool->loop = loop;
  pool->references = 1;
  pool->tokens = options->limit > 0 ? options->limit : 32;
  pool->asker = options->asker;
  pool->asker_data = options->asker_data;
  pool->news_end = &pool->news;
  pool->waiters_end = &pool->waiters;
  if (uv_mutex_init(&pool->lock) != 0) {
    free(pool);
    return dr__err_nomem(err);
  }
  if (uv_cond_init(&pool->told) != 0) {
    uv_mutex_destroy(&pool->lock);
    free(pool);
    return dr__err_nomem(err);
  }
  if (ssh_init() != SSH_OK || uv_async_init(loop, &pool->async, on_async) != 0) {
    free_pool(pool);
    return dr__fail(err, "ssh.protocol", "the SSH library cannot be started");
  }
  pool->async.data = pool;
  uv_unref((uv_handle_t *)&pool->async);
  *out = pool;
  return DR_OK;
}

/* ---- answers */

static void forget(char *secret) {
  if (secret == NULL) return;
  explicit_bzero(secret, strlen(secret));
  free(secret);
}

static dr_ssh_answer *answer_of(dr_ssh_pool *pool, const char *key) {
  for (dr_ssh_answer *answer = pool->answers; answer != NULL; answer = answer->next) {
    if (strcmp(answer->key, key) == 0) return answer;
  }
  dr_ssh_answer *answer = calloc(1, sizeof *answer);
  if (answer == NULL || (answer->key = strdup(key)) == NULL) {
    free(answer);
    return NULL;
  }
  answer->next = pool->answers;
  pool->answers = answer;
  return answer;
}

const dr_ssh_answer *dr__ssh_pool_answer(dr_ssh_pool *pool, const char *key, const char *question,
                                         bool secret, unsigned seen) {
  dr_ssh_answer *answer = answer_of(pool, key);
  if (answer == NULL) return NULL;
  bool refused = answer->generation > 0 && answer->text == NULL;
  if (answer->generation <= seen && !refused) {
    forget(answer->text);
    answer->text = pool->asker == NULL ? NULL : pool->asker(question, secret, pool->asker_data);
    answer->generation++;
  }
  return answer->text == NULL ? NULL : answer;
}

static void answers_free(dr_ssh_answer *answers) {
  while (answers != NULL) {
    dr_ssh_answer *next = answers->next;
    forget(answers->text);
    free(answers->key);
    free(answers);
    answers = next;
  }
}

/* ---- life */

void dr__ssh_pool_busy(dr_ssh_pool *pool, int change) {
  unsigned before = pool->active;
  pool->active = change > 0 ? before + 1 : before - 1;
  if (pool->closed) return;
  if (before == 0) uv_ref((uv_handle_t *)&pool->async);
  if (pool->active == 0) uv_unref((uv_handle_t *)&pool->async);
}

void dr__ssh_pool_unref(dr_ssh_pool *pool) {
  if (--pool->references == 0) free_pool(pool);
}

static void on_closed(uv_handle_t *handle) {
  dr__ssh_pool_unref(handle->data);
}

/* Every thread ends at once when told to; its channels and itself come as news, which joins it. */
static void end_sessions(dr_ssh_pool *pool) {
  uv_mutex_lock(&pool->lock);
  for (dr_ssh_session *s = pool->sessions; s != NULL; s = s->next) dr__ssh_session_stop(s);
  uv_mutex_unlock(&pool->lock);
  while (pool->sessions != NULL) {
    uv_mutex_lock(&pool->lock);
    while (pool->news == NULL) uv_cond_wait(&pool->told, &pool->lock);
    uv_mutex_unlock(&pool->lock);
    deliver_news(pool);
  }
  deliver_news(pool);
}

void dr__ssh_pool_close(void *data) {
  dr_ssh_pool *pool = data;
  if (pool == NULL || pool->closed) return;
  pool->closed = true;
  dr__ssh_tunnels_shut(pool);
  end_sessions(pool);
  answers_free(pool->answers);
  pool->answers = NULL;
  dr__ssh_keys_free(pool->keys);
  pool->keys = NULL;
  dr__ssh_places_free(pool->places);
  pool->places = NULL;
  uv_close((uv_handle_t *)&pool->async, on_closed);
}
