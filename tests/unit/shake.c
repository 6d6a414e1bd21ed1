/* shake.c - holds threads up at random after they let go of a lock, so that what may happen between
 * them in another order does happen. Linked with --wrap=uv_mutex_unlock. */
#include <stdint.h>
#include <time.h>
#include <uv.h>

enum { ONE_IN = 32, LONGEST_US = 4000 };

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): names the linker wants */
void __real_uv_mutex_unlock(uv_mutex_t *lock);
void __wrap_uv_mutex_unlock(uv_mutex_t *lock);

static uint32_t chance(void) {
  static _Thread_local uint32_t state;
  if (state == 0) state = (uint32_t)uv_hrtime() | 1;
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

void __wrap_uv_mutex_unlock(uv_mutex_t *lock) {
  __real_uv_mutex_unlock(lock);
  if (chance() % ONE_IN != 0) return;
  struct timespec time = {.tv_nsec = (long)(chance() % LONGEST_US) * 1000};
  nanosleep(&time, NULL);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
