/* Taking the Engine's output stream apart, however it is cut into pieces. */
#include "docker/docker_frames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct outputs {
  char text[3][256];
  size_t length[3];
} outputs;

static void on_output(void *data, int stream, const char *bytes, size_t length) {
  outputs *out = data;
  assert_true(stream == 1 || stream == 2);
  assert_true(length > 0);
  assert_true(out->length[stream] + length < sizeof out->text[0]);
  memcpy(out->text[stream] + out->length[stream], bytes, length);
  out->length[stream] += length;
}

/* Feeds the bytes in pieces of `step`. */
static outputs feed(const char *bytes, size_t length, size_t step) {
  outputs out = {0};
  dr_frames frames = {.on_output = on_output, .data = &out};
  for (size_t at = 0; at < length; at += step) {
    dr__frames_feed(&frames, bytes + at, length - at < step ? length - at : step);
  }
  dr__frames_end(&frames);
  return out;
}

static const char framed[] =
    "\1\0\0\0\0\0\0\4one\n\2\0\0\0\0\0\0\4err\n\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\4two\n";

static void frames_are_told_apart_in_pieces_of_any_size(void **state) {
  (void)state;
  for (size_t step = 1; step <= sizeof framed; step++) {
    outputs out = feed(framed, sizeof framed - 1, step);
    assert_string_equal(out.text[1], "one\ntwo\n");
    assert_string_equal(out.text[2], "err\n");
  }
}

static void a_terminals_output_passes_as_it_is(void **state) {
  (void)state;
  const char *const texts[] = {"hello, this is a terminal\r\n", "short", "\1\0\0", "",
                               "\1\2\3\4\5\6\7\10\11"};
  const size_t lengths[] = {27, 5, 3, 0, 9};
  for (size_t i = 0; i < 5; i++) {
    for (size_t step = 1; step <= 9; step++) {
      outputs out = feed(texts[i], lengths[i], step);
      assert_int_equal(out.length[1], lengths[i]);
      assert_memory_equal(out.text[1], texts[i], lengths[i]);
      assert_int_equal(out.length[2], 0);
    }
  }
}

static void a_frame_cut_off_gives_what_there_is(void **state) {
  (void)state;
  outputs out = feed("\2\0\0\0\0\0\1\0abc", 11, 4);
  assert_string_equal(out.text[2], "abc");
  out = feed("\1\0\0\0\xff\xff\xff\xff"
             "abc",
             11, 3);
  assert_string_equal(out.text[1], "abc");
}

static void bytes_that_are_no_frame_turn_the_rest_into_bare_output(void **state) {
  (void)state;
  outputs out = feed("\1\0\0\0\0\0\0\2ok\nno frame here", 24, 5);
  assert_string_equal(out.text[1], "ok\nno frame here");
}

static void bare_output_can_be_announced(void **state) {
  (void)state;
  outputs out = {0};
  dr_frames frames = {.mode = DR_FRAMES_RAW, .on_output = on_output, .data = &out};
  dr__frames_feed(&frames, framed, 12);
  dr__frames_end(&frames);
  assert_int_equal(out.length[1], 12);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(frames_are_told_apart_in_pieces_of_any_size),
      cmocka_unit_test(a_terminals_output_passes_as_it_is),
      cmocka_unit_test(a_frame_cut_off_gives_what_there_is),
      cmocka_unit_test(bytes_that_are_no_frame_turn_the_rest_into_bare_output),
      cmocka_unit_test(bare_output_can_be_announced),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
