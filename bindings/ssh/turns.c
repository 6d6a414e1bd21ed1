/* ssh/turns.c - whose turn it is to set up a connection: so many at a time in all, so that this
 * machine is not asked for more key exchanges than it can do, and so many at one address, so that
 * its server does not turn them away.
 *
 * Called by connect.c and tcp.c on a session's thread. A session holds a token (one of the pool's)
 * and a slot (one of the address's) while it connects and logs in, the slot until the server has
 * opened a channel; what is silent gives both back after a moment, so that dead hosts hold nobody
 * up.
 */
#include "internal.h"

#include "core/err.h"

#include <stdlib.h>
#include <string.h>

/* sshd's MaxStartups is 10:30:100: with ten connections not yet logged in it begins to drop new
 * ones at random. Two are left for others. */
enum { MOST_AT_ADDRESS = 8 };

/* How long a silent connection keeps its token, and its slot. A greeting takes one round trip; a
 * server that needs two seconds for it is not helped by more connections, one that never gives it
 * must not make all who lead to it wait for each other. */
enum { TOKEN_PATIENCE_MS = 300, SLOT_PATIENCE_MS = 2000 };

/* An address that turns connections away although somebody logged in there so short a time ago
 * lets in only so many in a time. It is left alone for a while, by all who want to go there: some
 * firewalls count every attempt, and let nobody in before there was none for half a minute. */
enum { LIMITED_MS = 60000, FIRST_PAUSE_MS = 100, LONGEST_PAUSE_MS = 60000 };

struct dr_ssh_place {
  dr_ssh_place *next;
  unsigned busy;        /* slots that are taken */
  bool reached;         /* a connection to it came about */
  uint64_t answered_ms; /* when somebody logged in there; 0: nobody has */
  uint64_t opens_ms;    /* nobody begins there before */
  unsigned pause_ms;    /* how long it was left alone the last time */
  char name[];
};

/* ---- under the lock */

static bool may_begin(const dr_ssh_session *s) {
  return s->pool->tokens > 0 && (s->place == NULL || s->slot || s->place->busy < MOST_AT_ADDRESS);
}

static void grant(dr_ssh_session *s) {
  s->pool->tokens--;
  s->token = true;
  if (s->place == NULL || s->slot) return;
  s->place->busy++;
  s->slot = true;
}

static void return_token(dr_ssh_session *s) {
  if (s->token) s->pool->tokens++;
  s->token = false;
}

static void return_slot(dr_ssh_session *s) {
  if (s->slot) s->place->busy--;
  s->slot = false;
}

/* Takes the waiter that *at points to out of the queue. */
static void leave_queue(dr_ssh_pool *pool, dr_ssh_session **at) {
  dr_ssh_session *s = *at;
  *at = s->next_waiter;
  if (pool->waiters_end == &s->next_waiter) pool->waiters_end = at;
  s->waiting = false;
}

/* Gives what is free to those who wait, in the order in which they came. */
static void serve_waiters(dr_ssh_pool *pool) {
  dr_ssh_session **at = &pool->waiters;
  while (*at != NULL && pool->tokens > 0) {
    dr_ssh_session *s = *at;
    if (may_begin(s)) {
      leave_queue(pool, at);
      grant(s);
      dr__ssh_wake(s);
    } else {
      at = &s->next_waiter;
    }
  }
}

static dr_ssh_place *find_place(dr_ssh_pool *pool, const char *name) {
  dr_ssh_place *place = pool->places;
  while (place != NULL && strcmp(place->name, name) != 0) place = place->next;
  if (place != NULL) return place;
  size_t size = strlen(name) + 1;
  place = calloc(1, sizeof *place + size);
  if (place == NULL) return NULL;
  memcpy(place->name, name, size);
  place->next = pool->places;
  return pool->places = place;
}

/* ---- the session's thread */

static bool has_token(dr_ssh_session *s) {
  uv_mutex_lock(&s->pool->lock);
  bool mine = s->token;
  uv_mutex_unlock(&s->pool->lock);
  return mine;
}

int dr__ssh_token_take(dr_ssh_session *s) {
  dr_ssh_pool *pool = s->pool;
  uint64_t began = dr__ssh_now_ms(), deadline = s->deadline_ms;
  int rc = DR_OK;
  s->deadline_ms = 0; /* whose turn it is says nothing about the host */
  uv_mutex_lock(&pool->lock);
  if (may_begin(s)) {
    grant(s);
  } else {
    s->waiting = true;
    s->next_waiter = NULL;
    *pool->waiters_end = s;
    pool->waiters_end = &s->next_waiter;
  }
  uv_mutex_unlock(&pool->lock);
  while (rc == DR_OK && !has_token(s)) rc = dr__ssh_wait(s, NULL, 0, -1);
  if (deadline != 0) s->deadline_ms = deadline + (dr__ssh_now_ms() - began);
  return rc;
}

void dr__ssh_token_give(dr_ssh_session *s) {
  dr_ssh_pool *pool = s->pool;
  uv_mutex_lock(&pool->lock);
  if (s->waiting) {
    dr_ssh_session **at = &pool->waiters;
    while (*at != s) at = &(*at)->next_waiter;
    leave_queue(pool, at);
  }
  return_token(s);
  return_slot(s);
  serve_waiters(pool);
  uv_mutex_unlock(&pool->lock);
}

void dr__ssh_token_yield(dr_ssh_session *s) {
  uv_mutex_lock(&s->pool->lock);
  return_token(s);
  serve_waiters(s->pool);
  uv_mutex_unlock(&s->pool->lock);
}

/* Waits until the address is no longer left alone; who has no time for that tries its luck. */
static int wait_open(dr_ssh_session *s) {
  while (true) {
    uv_mutex_lock(&s->pool->lock);
    uint64_t opens = s->place->opens_ms, now = dr__ssh_now_ms();
    uv_mutex_unlock(&s->pool->lock);
    if (opens <= now || (s->deadline_ms != 0 && opens >= s->deadline_ms)) return DR_OK;
    if (dr__ssh_wait(s, NULL, 0, (int)(opens - now)) != DR_OK) return DR_FAILED;
  }
}

int dr__ssh_token_at(dr_ssh_session *s, const char *name) {
  dr_ssh_pool *pool = s->pool;
  uv_mutex_lock(&pool->lock);
  return_slot(s);
  s->place = find_place(pool, name);
  bool known = s->place != NULL;
  bool full = known && s->place->busy >= MOST_AT_ADDRESS;
  if (full) return_token(s);
  if (known && !full) {
    s->place->busy++;
    s->slot = true;
  }
  serve_waiters(pool);
  uv_mutex_unlock(&pool->lock);
  if (!known) return dr__err_nomem(&s->err);
  if (full && dr__ssh_token_take(s) != DR_OK) return DR_FAILED;
  return wait_open(s);
}

int dr__ssh_token_patience(dr_ssh_session *s, uint64_t since) {
  uint64_t silent = dr__ssh_now_ms() - since;
  bool tired = s->token && silent >= TOKEN_PATIENCE_MS;
  bool over = s->slot && silent >= SLOT_PATIENCE_MS && !dr__ssh_place_is_limited(s);
  if (tired || over) {
    uv_mutex_lock(&s->pool->lock);
    if (tired) return_token(s);
    if (over) return_slot(s);
    serve_waiters(s->pool);
    uv_mutex_unlock(&s->pool->lock);
  }
  if (s->token) return TOKEN_PATIENCE_MS - (int)silent;
  return s->slot && silent < SLOT_PATIENCE_MS ? SLOT_PATIENCE_MS - (int)silent : -1;
}

void dr__ssh_place_reached(dr_ssh_session *s) {
  uv_mutex_lock(&s->pool->lock);
  if (s->place != NULL) s->place->reached = true;
  uv_mutex_unlock(&s->pool->lock);
}

void dr__ssh_place_answered(dr_ssh_session *s) {
  uv_mutex_lock(&s->pool->lock);
  if (s->place != NULL) {
    s->place->answered_ms = dr__ssh_now_ms();
    s->place->pause_ms = 0;
  }
  uv_mutex_unlock(&s->pool->lock);
}

bool dr__ssh_place_lets_in(dr_ssh_session *s) {
  uv_mutex_lock(&s->pool->lock);
  bool others = s->place != NULL && (s->place->reached || s->place->busy > 1);
  uv_mutex_unlock(&s->pool->lock);
  return others;
}

bool dr__ssh_place_is_limited(dr_ssh_session *s) {
  uv_mutex_lock(&s->pool->lock);
  uint64_t answered = s->place == NULL ? 0 : s->place->answered_ms;
  uv_mutex_unlock(&s->pool->lock);
  return answered != 0 && dr__ssh_now_ms() - answered < LIMITED_MS;
}

uint64_t dr__ssh_place_pause(dr_ssh_session *s) {
  uint16_t chance = 0;
  (void)uv_random(NULL, NULL, &chance, sizeof chance, 0, NULL);
  uint64_t now = dr__ssh_now_ms();
  uv_mutex_lock(&s->pool->lock);
  dr_ssh_place *place = s->place;
  if (now >= place->opens_ms) { /* else it is one of several that were turned away together */
    unsigned next = place->pause_ms == 0 ? FIRST_PAUSE_MS : place->pause_ms * 2;
    place->pause_ms = next < LONGEST_PAUSE_MS ? next : LONGEST_PAUSE_MS;
    place->opens_ms = now + place->pause_ms - (uint64_t)place->pause_ms * chance / 65536u / 4;
  }
  uint64_t left = place->opens_ms - now;
  uv_mutex_unlock(&s->pool->lock);
  return left + chance % 50; /* so that they do not all come back in the same moment */
}

void dr__ssh_places_free(dr_ssh_place *places) {
  while (places != NULL) {
    dr_ssh_place *next = places->next;
    free(places);
    places = next;
  }
}
