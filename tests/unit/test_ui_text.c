/* What is shown is harmless, fits, and reads well. */
#include "ui/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static ui_buf buf = UI_BUF_INIT;

/* "a", the character that turns the direction of text, "b". */
static const char turned[] = {'a', '\xE2', '\x80', '\xAE', 'b', '\0'};

static const char *cleaned(const char *text) {
  ui_buf_reset(&buf);
  ui_add_clean(&buf, text);
  return ui_buf_text(&buf);
}

static const char *spelled(const char *text) {
  ui_buf_reset(&buf);
  ui_add_spelled_bytes(&buf, text, strlen(text));
  return ui_buf_text(&buf);
}

static const char *cut(const char *text, size_t width) {
  ui_buf_reset(&buf);
  ui_add_cut(&buf, text, width, "…");
  return ui_buf_text(&buf);
}

static const char *block(const char *text, const ui_block *layout) {
  ui_buf_reset(&buf);
  ui_add_block(&buf, text, layout);
  return ui_buf_text(&buf);
}

static const char *seconds(double value) {
  ui_buf_reset(&buf);
  ui_add_seconds(&buf, value);
  return ui_buf_text(&buf);
}

static const char *count(double value) {
  ui_buf_reset(&buf);
  ui_add_count(&buf, value);
  return ui_buf_text(&buf);
}

static void escape_sequences_are_taken_out(void **state) {
  (void)state;
  assert_string_equal(cleaned("\033[1;31mred\033[0m text"), "red text");
  assert_string_equal(cleaned("\033]0;a title\atext"), "text");
  assert_string_equal(cleaned("\033]8;;http://x\033\\link\033]8;;\033\\"), "link");
  assert_string_equal(cleaned("bell\a and \001 nul\177"), "bell and  nul");
  assert_string_equal(cleaned("unfinished \033[31"), "unfinished ");
  assert_string_equal(cleaned("c1 \xC2\x9B"
                              "31m"),
                      "c1 31m");
  assert_string_equal(cleaned(turned), "ab");
}

static void of_a_redrawn_line_the_last_drawing_stays(void **state) {
  (void)state;
  assert_string_equal(cleaned("10%\r50%\r100%"), "100%");
  assert_string_equal(cleaned("10%\r100%\r\n"), "100%");
  assert_string_equal(cleaned("a\tb\nc"), "a b c");
}

static void bytes_that_are_not_utf8_are_replaced(void **state) {
  (void)state;
  assert_string_equal(cleaned("a\xFF"
                              "b"),
                      "a\xEF\xBF\xBD"
                      "b");
  assert_string_equal(cleaned("\xC3"), "\xEF\xBF\xBD");
  assert_string_equal(cleaned("\xC0\xAF"), "\xEF\xBF\xBD\xEF\xBF\xBD");
  assert_string_equal(cleaned("\xE2\x82\xAC"), "€");
}

static void nothing_hides_in_a_preview(void **state) {
  (void)state;
  assert_string_equal(spelled("rm -rf /\r ls"), "rm -rf /\\x0d ls");
  assert_string_equal(spelled("\033[2K"), "\\x1b[2K");
  assert_string_equal(spelled(turned), "a\\u202eb");
  assert_string_equal(spelled("a\xE2\x80\x8B"), "a\\u200b");
  assert_string_equal(spelled("\xFF"), "\\xff");
  assert_string_equal(spelled("plain äöü 日本"), "plain äöü 日本");
}

static void width_counts_columns(void **state) {
  (void)state;
  assert_int_equal(ui_text_width("abc"), 3);
  assert_int_equal(ui_text_width("äöü"), 3);
  assert_int_equal(ui_text_width("日本"), 4);
  assert_int_equal(ui_text_width("e\xCC\x81"), 1);
  assert_int_equal(ui_text_width("🚀"), 2);
}

static void cutting_never_splits_a_character(void **state) {
  (void)state;
  assert_string_equal(cut("short", 10), "short");
  assert_string_equal(cut("0123456789", 10), "0123456789");
  assert_string_equal(cut("0123456789x", 10), "012345678…");
  assert_string_equal(cut("日本語", 4), "日…");
  assert_string_equal(cut("abc", 0), "");
}

static void a_block_wraps_and_loses_nothing(void **state) {
  (void)state;
  const ui_block narrow = {.indent = 4, .width = 20};
  assert_string_equal(block("one two three four five six", &narrow),
                      "one two three four\n    five six");
  assert_string_equal(block("first\nsecond", &narrow), "first\n    second");
  const ui_block wide = {.indent = 2};
  assert_string_equal(block("a line as long as it wants to be", &wide),
                      "a line as long as it wants to be");
}

static void what_stands_before_a_block_takes_room(void **state) {
  (void)state;
  const ui_block narrow = {.indent = 2, .width = 24};
  ui_buf_reset(&buf);
  ui_buf_add(&buf, "first line\n\033[1mtitle\033[0m: ");
  ui_add_block(&buf, "one two three four five six", &narrow);
  assert_string_equal(ui_buf_text(&buf), "first line\n\033[1mtitle\033[0m: one two three\n"
                                         "  four five six");
}

static void a_wrapped_preview_keeps_its_spaces(void **state) {
  (void)state;
  const ui_block narrow = {.indent = 0, .width = 14, .spelled = true};
  assert_string_equal(block("echo 'a   b' and more", &narrow), "echo 'a   b'\n  and more");
  assert_string_equal(block("http://a.example/long/path", &narrow),
                      "http://a.examp\n  le/long/path");
}

static void a_bar_stands_before_each_line(void **state) {
  (void)state;
  const ui_block bar = {.indent = 2, .bar = "| "};
  assert_string_equal(block("one\n\ntwo", &bar), "one\n  | \n  | two");
}

static void times_and_counts_read_well(void **state) {
  (void)state;
  assert_string_equal(seconds(0), "0.0 s");
  assert_string_equal(seconds(-1), "0.0 s");
  assert_string_equal(seconds(12.44), "12.4 s");
  assert_string_equal(seconds(59.96), "1 min 00 s");
  assert_string_equal(seconds(125), "2 min 05 s");
  assert_string_equal(seconds(3720), "1 h 02 min");
  assert_string_equal(count(7), "7");
  assert_string_equal(count(1204), "1,204");
  assert_string_equal(count(1234567), "1,234,567");
}

static int free_buffer(void **state) {
  (void)state;
  ui_buf_free(&buf);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(escape_sequences_are_taken_out),
      cmocka_unit_test(of_a_redrawn_line_the_last_drawing_stays),
      cmocka_unit_test(bytes_that_are_not_utf8_are_replaced),
      cmocka_unit_test(nothing_hides_in_a_preview),
      cmocka_unit_test(width_counts_columns),
      cmocka_unit_test(cutting_never_splits_a_character),
      cmocka_unit_test(a_block_wraps_and_loses_nothing),
      cmocka_unit_test(what_stands_before_a_block_takes_room),
      cmocka_unit_test(a_wrapped_preview_keeps_its_spaces),
      cmocka_unit_test(a_bar_stands_before_each_line),
      cmocka_unit_test(times_and_counts_read_well),
  };
  return cmocka_run_group_tests(tests, NULL, free_buffer);
}
