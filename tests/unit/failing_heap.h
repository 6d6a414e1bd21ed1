/* failing_heap.h - an allocator in place of the C library's that fails at the N-th allocation and
 * counts what is not freed. Included once, by a unit test that is all of its program; under a
 * sanitizer, which has an allocator of its own, SWEEP is 0 and nothing fails. */
#ifndef DR_TESTS_FAILING_HEAP_H
#define DR_TESTS_FAILING_HEAP_H

#include <stdbool.h>
#include <stddef.h>

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

static long fail_at; /* counts down to the allocation that fails; 0: none does */
static long living;  /* allocations not yet freed */
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

void *malloc(size_t size) {
  if (is_denied()) return NULL;
  living++;
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  if (is_denied()) return NULL;
  living++;
  return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
  if (is_denied()) return NULL;
  if (!memory) living++;
  return __libc_realloc(memory, size);
}

void free(void *memory) {
  if (memory) living--;
  __libc_free(memory);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-*,readability-inconsistent-*) */
#endif

#endif
