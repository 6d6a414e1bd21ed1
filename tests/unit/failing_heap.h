/* failing_heap.h - an allocator in place of the C library's that fails at the N-th allocation and
 * counts what is not freed. Included once, by a unit test that is all of its program; under a
 * sanitizer, which has an allocator of its own, SWEEP is 0 and nothing fails.
 *
 * What it gives is marked in front, so that what others gave (posix_memalign, memory of libcurl's)
 * is not counted when it is freed. */
#ifndef DR_TESTS_FAILING_HEAP_H
#define DR_TESTS_FAILING_HEAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SWEEP 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SWEEP 0
#endif
#endif
#ifndef SWEEP
#define SWEEP 1
#endif

static long fail_at;       /* counts down to the allocation that fails; 0: none does */
static atomic_long living; /* allocations not yet freed */
static bool failed;

#if SWEEP
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-*,readability-inconsistent-*): the C library's own
 * names */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void __libc_free(void *memory);

static bool is_denied(void) {
  if (fail_at == 0 || --fail_at > 0) return false;
  failed = true;
  return true;
}

typedef struct block {
  uint64_t mark, again; /* as large as what is aligned for anything */
} block;

static const uint64_t marks[] = {0x9d1c5a60b7e2f384, 0x3f8e17d4c2a9560b};

static void *marked(block *it) {
  if (!it) return NULL;
  *it = (block){marks[0], marks[1]};
  living++;
  return it + 1;
}

/* The block when it is one of these, its mark taken off; else NULL. */
static block *unmarked(void *memory) {
  block *it = (block *)memory - 1;
  if (!memory || it->mark != marks[0] || it->again != marks[1]) return NULL;
  it->mark = it->again = 0;
  living--;
  return it;
}

void *malloc(size_t size) {
  if (is_denied() || size > PTRDIFF_MAX) return NULL;
  return marked(__libc_malloc(sizeof(block) + size));
}

void *calloc(size_t count, size_t size) {
  if (is_denied() || (size > 0 && count > PTRDIFF_MAX / size)) return NULL;
  return marked(__libc_calloc(1, sizeof(block) + count * size));
}

void *realloc(void *memory, size_t size) {
  if (is_denied() || size > PTRDIFF_MAX) return NULL;
  block *it = unmarked(memory);
  if (memory && !it) return __libc_realloc(memory, size);
  return marked(__libc_realloc(it, sizeof(block) + size));
}

void free(void *memory) {
  block *it = unmarked(memory);
  __libc_free(it ? (void *)it : memory);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-*,readability-inconsistent-*) */
#endif

#endif
