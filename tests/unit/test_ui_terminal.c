/* The run view: which lines a run's events become, on a terminal and in a log. */
#include "ui/terminal.h"
#include "ui_stage.h"

static const ui_shown_param params[] = {
    {"dir", NULL}, {"web", "api"}, {"within", "60"}, {"services", "a,b"}};

static ui_view *view_of(stage *s, ui_loudness loudness) {
  const ui_view_options options = {
      .screen = &s->screen, .loudness = loudness, .params = params, .param_count = 4};
  ui_view *view = ui_view_new(&options);
  assert_non_null(view);
  return view;
}

static void see(ui_view *view, dr_event_type type, const char *json) {
  tell(ui_view_event, view, type, json);
}

static void begin(ui_view *view) {
  see(view, DR_EVENT_RUN_STARTED,
      "{\"run\":\"r1\",\"recipe\":\"rolling\",\"mode\":\"run\",\"steps\":2,\"journal\":\"/j/r1\","
      "\"params\":{\"dir\":\"/srv/app\",\"web\":\"api\",\"within\":60.0,"
      "\"services\":[\"a\",\"b\"]}}");
}

#define BUILD "\"step\":\"Build images\",\"index\":1,\"total\":2,\"depth\":0,\"lane\":\"main\""
#define OP                                                                                         \
  "\"seq\":1,\"op\":\"compose.build\",\"kind\":\"action\",\"target\":\"local\",\"lane\":\"main\""
#define FAILED "\"code\":\"command.failed\",\"message\":\"exit status 1\""

static void build_begins(ui_view *view) {
  see(view, DR_EVENT_STEP_STARTED, "{" BUILD "}");
  see(view, DR_EVENT_OP_STARTED, "{" OP ",\"preview\":\"docker compose build\"}");
  see(view, DR_EVENT_OUTPUT,
      "{\"seq\":1,\"target\":\"local\",\"stream\":1,\"line\":\"\\u001b[31mStep 1/3\"}");
}

static void build_ends(ui_view *view) {
  see(view, DR_EVENT_OP_FINISHED, "{" OP ",\"seconds\":12.3}");
  see(view, DR_EVENT_STEP_FINISHED, "{" BUILD ",\"seconds\":12.4}");
}

static void end_well(ui_view *view) {
  see(view, DR_EVENT_RUN_FINISHED,
      "{\"status\":\"done\",\"exit_code\":0,\"seconds\":13.0,\"error\":null}");
}

static void a_log_has_one_plain_line_a_step(void **state) {
  (void)state;
  stage *s = stage_new();
  ui_view *view = view_of(s, UI_NORMAL);
  begin(view);
  build_begins(view);
  build_ends(view);
  end_well(view);
  assert_string_equal(stage_out(s),
                      "rolling · dir=/srv/app · run r1\n"
                      "[1/2] Build images … 12.4 s\n"
                      "\n"
                      "Done in 13.0 s · 1 step · 1 op\n"
                      "  Downtime       not measured (the recipe has no http.probe)\n");
  assert_string_equal(stage_err(s), "");
  assert_true(ui_view_ended(view));
  ui_view_free(view);
  stage_free(s);
}

static void a_long_step_says_that_it_began(void **state) {
  (void)state;
  stage *s = stage_new();
  ui_view *view = view_of(s, UI_NORMAL);
  begin(view);
  build_begins(view);
  see(view, DR_EVENT_TICK, "{\"seconds\":0.1}");
  assert_has_not(stage_out(s), "Build");
  s->now_ms += 5000;
  see(view, DR_EVENT_TICK, "{\"seconds\":5.1}");
  see(view, DR_EVENT_TICK, "{\"seconds\":5.2}");
  build_ends(view);
  assert_has(stage_out(s), "r1\n[1/2] Build images …\n[1/2] Build images … 12.4 s\n");
  ui_view_free(view);
  stage_free(s);
}

static void what_belongs_to_a_step_stands_below_its_heading(void **state) {
  (void)state;
  stage *s = stage_new();
  ui_view *view = view_of(s, UI_NORMAL);
  begin(view);
  see(view, DR_EVENT_STEP_STARTED, "{" BUILD "}");
  see(view, DR_EVENT_LOG, "{\"level\":\"warn\",\"message\":\"the image is large\"}");
  see(view, DR_EVENT_STEP_STARTED,
      "{\"step\":\"Inner\",\"index\":0,\"total\":2,\"depth\":1,\"lane\":\"main\"}");
  see(view, DR_EVENT_STEP_FINISHED,
      "{\"step\":\"Inner\",\"index\":0,\"total\":2,\"depth\":1,\"lane\":\"main\",\"seconds\":1}");
  see(view, DR_EVENT_STEP_FINISHED, "{" BUILD ",\"seconds\":2}");
  assert_has(stage_out(s), "[1/2] Build images …\n"
                           "      warning: the image is large\n"
                           "  - Inner … 1.0 s\n"
                           "[1/2] Build images … 2.0 s\n");
  ui_view_free(view);
  stage_free(s);
}

static void output_of_several_hosts_stands_in_one_column_with_their_names(void **state) {
  (void)state;
  stage *s = stage_new();
  ui_view *view = view_of(s, UI_VERBOSE);
  see(view, DR_EVENT_OP_STARTED,
      "{\"seq\":1,\"op\":\"target.run\",\"target\":\"web1\",\"lane\":\"main/"
      "web1\",\"preview\":\"x\"}");
  see(view, DR_EVENT_OUTPUT, "{\"seq\":1,\"target\":\"web1\",\"line\":\"alone\"}");
  see(view, DR_EVENT_OP_STARTED,
      "{\"seq\":2,\"op\":\"target.run\",\"target\":\"web10\",\"lane\":\"main/"
      "web10\",\"preview\":\"x\"}");
  see(view, DR_EVENT_OUTPUT, "{\"seq\":1,\"target\":\"web1\",\"line\":\"one\"}");
  see(view, DR_EVENT_OUTPUT, "{\"seq\":2,\"target\":\"web10\",\"line\":\"ten\"}");
  assert_has(stage_out(s), " web1 | alone\n");
  assert_has(stage_out(s), " web1  | one\n");
  assert_has(stage_out(s), " web10 | ten\n");
  ui_view_free(view);
  stage_free(s);
}

static void verbose_shows_ops_and_their_output(void **state) {
  (void)state;
  stage *s = stage_new();
  ui_view *view = view_of(s, UI_VERBOSE);
  begin(view);
  build_begins(view);
  build_ends(view);
  assert_has(stage_out(s), "[1/2] Build images …\n"
                           "      > compose.build on local: docker compose build\n"
                           "        local | Step 1/3\n"
                           "        compose.build took 12.3 s\n"
                           "[1/2] Build images … 12.4 s\n");
  ui_view_free(view);
  stage_free(s);
}

static void quiet_has_only_the_final_line(void **state) {
  (void)state;
  stage *s = stage_new();
  ui_view *view = view_of(s, UI_QUIET);
  begin(view);
  build_begins(view);
  see(view, DR_EVENT_LOG, "{\"level\":\"info\",\"message\":\"hello\"}");
  build_ends(view);
  end_well(view);
  assert_string_equal(stage_out(s), "rolling done in 13.0 s · 1 step · 1 op\n");
  ui_view_free(view);
  stage_free(s);
}

static void quiet_names_the_hosts_that_failed(void **state) {
  (void)state;
  stage *s = stage_new();
  ui_view *view = view_of(s, UI_QUIET);
  begin(view);
  build_begins(view);
  build_ends(view);
  see(view, DR_EVENT_LOG, "{\"level\":\"warn\",\"message\":\"web1 failed: x: no\"}");
  see(view, DR_EVENT_LOG,
      "{\"level\":\"warn\",\"message\":\"1 host failed: web1 (x)\",\"failed\":[\"web1\"]}");
  end_well(view);
  assert_string_equal(stage_out(s), "  warning: 1 host failed: web1 (x)\n"
                                    "rolling done in 13.0 s · 1 step · 1 op · 2 warnings\n");
  ui_view_free(view);
  stage_free(s);
}

static void availability_is_told_in_one_line(void **state) {
  (void)state;
  stage *s = stage_new();
  ui_view *view = view_of(s, UI_NORMAL);
  begin(view);
  see(view, DR_EVENT_PROBE,
      "{\"url\":\"http://x/\",\"requests\":1204,\"failures\":0,\"longest_gap\":0.061,"
      "\"p95_ms\":12.2,\"first_version\":\"1\",\"last_version\":\"2\",\"version_changed_at\":8.3}");
  end_well(view);
  assert_has(stage_out(s), "  Availability   1,204 requests, 0 failed, longest silence 0.06 s, "
                           "p95 12 ms · version 1 → 2 after 8.3 s\n");
  begin(view);
  see(view, DR_EVENT_PROBE,
      "{\"url\":\"http://x/\",\"requests\":21,\"failures\":21,\"longest_gap\":2.1,"
      "\"cause\":\"cannot connect: refused\"}");
  end_well(view);
  assert_has(stage_out(s), "21 requests, 21 failed (most often: cannot connect: refused), longest");
  ui_view_free(view);
  stage_free(s);
}

/* A stage that looks like a terminal. */
static stage *terminal_new(void) {
  stage *s = stage_new();
  s->screen.live = true;
  s->screen.wrap[UI_OUT] = s->screen.wrap[UI_ERR] = true;
  return s;
}

static void live_lines_show_the_op_and_fit_the_width(void **state) {
  (void)state;
  stage *s = terminal_new();
  ui_view *view = view_of(s, UI_NORMAL);
  begin(view);
  build_begins(view);
  s->columns = 42; /* two stay free for the "^C" of the terminal */
  s->now_ms += 1500;
  size_t before = strlen(stage_out(s));
  see(view, DR_EVENT_TICK, "{\"seconds\":1.5}");
  assert_has(stage_out(s) + before, "[1/2] Build images … ⠙ 1.5 s\n"
                                    "      compose.build on local · Step 1/3");
  see(view, DR_EVENT_PROGRESS,
      "{\"seq\":1,\"target\":\"local\",\"message\":\"a message longer than forty columns\"}");
  before = strlen(stage_out(s));
  see(view, DR_EVENT_TICK, "{\"seconds\":1.6}");
  assert_has(stage_out(s) + before, "\r\033[2K\033[A\033[2K[1/2] Build images");
  assert_has(stage_out(s) + before, "      compose.build on local · a messa…");
  ui_view_free(view);
  stage_free(s);
}

static void bytes_being_moved_have_a_bar(void **state) {
  (void)state;
  stage *s = terminal_new();
  ui_view *view = view_of(s, UI_NORMAL);
  begin(view);
  build_begins(view);
  see(view, DR_EVENT_PROGRESS,
      "{\"seq\":1,\"target\":\"local\",\"message\":\"1 MiB of 4 MiB\",\"bytes\":1048576,"
      "\"total\":4194304,\"rate\":1048576.0}");
  size_t before = strlen(stage_out(s));
  see(view, DR_EVENT_TICK, "{\"seconds\":1.5}");
  assert_has(stage_out(s) + before, "local · ━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  25 %  1 MiB of 4 MiB");
  ui_view_free(view);
  stage_free(s);
}

static void a_narrower_terminal_is_erased_row_by_row(void **state) {
  (void)state;
  stage *s = terminal_new();
  ui_view *view = view_of(s, UI_NORMAL);
  begin(view);
  build_begins(view);
  see(view, DR_EVENT_TICK, "{\"seconds\":0.1}"); /* lines of 28 and 39 columns */
  s->columns = 20;
  size_t before = strlen(stage_out(s));
  see(view, DR_EVENT_TICK, "{\"seconds\":0.2}");
  assert_has(stage_out(s) + before, "\r\033[2K\033[A\033[2K\033[A\033[2K\033[A\033[2K[1/2]");
  ui_view_free(view);
  stage_free(s);
}

static void other_lanes_are_counted(void **state) {
  (void)state;
  stage *s = terminal_new();
  ui_view *view = view_of(s, UI_NORMAL);
  begin(view);
  build_begins(view);
  s->now_ms += 10;
  see(view, DR_EVENT_OP_STARTED,
      "{\"seq\":2,\"op\":\"run\",\"target\":\"web1\",\"lane\":\"main/2\",\"preview\":\"uptime\"}");
  size_t before = strlen(stage_out(s));
  see(view, DR_EVENT_TICK, "{\"seconds\":0.1}");
  assert_has(stage_out(s) + before, "0.0 s  +1 more\n      run on web1 · uptime");
  ui_view_free(view);
  stage_free(s);
}

static void after_a_signals_line_the_region_begins_anew(void **state) {
  (void)state;
  static volatile sig_atomic_t intrusions;
  stage *s = terminal_new();
  s->screen.intrusions = &intrusions;
  ui_view *view = view_of(s, UI_NORMAL);
  begin(view);
  build_begins(view);
  see(view, DR_EVENT_TICK, "{\"seconds\":0.1}");
  assert_int_equal(s->screen.region_rows, 2); /* what the handler takes off */
  intrusions = 1;
  size_t before = strlen(stage_out(s));
  see(view, DR_EVENT_TICK, "{\"seconds\":0.2}");
  assert_has_not(stage_out(s) + before, "\033[A");
  ui_view_free(view);
  assert_int_equal(s->screen.region_rows, 0);
  stage_free(s);
}

static void a_failure_fits_one_screen_and_says_what_to_do(void **state) {
  (void)state;
  stage *s = stage_new();
  ui_view *view = view_of(s, UI_NORMAL);
  begin(view);
  see(view, DR_EVENT_STEP_STARTED,
      "{\"step\":\"Update code\",\"index\":1,\"total\":2,\"depth\":0,\"lane\":\"main\"}");
  see(view, DR_EVENT_STEP_FINISHED,
      "{\"step\":\"Update "
      "code\",\"index\":1,\"total\":2,\"depth\":0,\"lane\":\"main\",\"seconds\":1}");
  see(view, DR_EVENT_STEP_STARTED,
      "{\"step\":\"Migrate\",\"index\":2,\"total\":2,\"depth\":0,\"lane\":\"main\"}");
  see(view, DR_EVENT_OP_STARTED, "{" OP ",\"preview\":\"x\"}");
  see(view, DR_EVENT_OP_FAILED, "{" OP ",\"seconds\":4.0," FAILED "}");
  see(view, DR_EVENT_STEP_FAILED,
      "{\"step\":\"Migrate\",\"index\":2,\"total\":2,\"depth\":0,\"lane\":\"main\","
      "\"seconds\":4.1,\"changed\":true," FAILED "}");
  see(view, DR_EVENT_UNDO_STARTED, "{\"step\":\"Stop api\"}");
  see(view, DR_EVENT_UNDO_FINISHED, "{\"step\":\"Stop api\",\"seconds\":1.2}");
  see(view, DR_EVENT_UNDO_STARTED, "{\"step\":\"Lock\"}");
  see(view, DR_EVENT_UNDO_FAILED,
      "{\"step\":\"Lock\",\"seconds\":0.1,\"code\":\"x\",\"message\":\"gone\"}");
  see(view, DR_EVENT_RUN_FINISHED,
      "{\"status\":\"undo_failed\",\"exit_code\":5,\"seconds\":14.2,\"changed\":true,"
      "\"undone\":[\"Stop api\"],\"not_undone\":[\"Lock\",\"First\"],\"journal\":\"/j/r1.jsonl\","
      "\"error\":{\"code\":\"command.failed\",\"message\":\"exit status 1\",\"hint\":\"mend it\","
      "\"target\":\"local\",\"op\":\"compose.run\",\"where\":\"rolling.lua:42\","
      "\"detail\":\"l1\\nl2\\nl3\\nl4\\nl5\\nl6\\nl7\\nl8\\nl9\\nl10\\nl11\\nl12\\nl13\\nl14\\n\","
      "\"cause\":{\"code\":\"c\",\"message\":\"no such column\"}}}");
  assert_has(stage_out(s), "[2/2] Migrate … failed after 4.1 s\n      exit status 1\n"
                           "Undo  Stop api … 1.2 s\n"
                           "Undo  Lock … failed after 0.1 s\n      gone\n");
  const char *expected = "\nFailed in [2/2] Migrate after 4.1 s\n"
                         "\n"
                         "  exit status 1\n"
                         "  │ l3\n  │ l4\n  │ l5\n  │ l6\n  │ l7\n  │ l8\n"
                         "  │ l9\n  │ l10\n  │ l11\n  │ l12\n  │ l13\n  │ l14\n"
                         "\n"
                         "  Hint           mend it\n"
                         "  Op             compose.run on local (command.failed)\n"
                         "  Recipe         rolling.lua:42\n"
                         "  Because        no such column\n"
                         "  Undone         Stop api (1.2 s)\n"
                         "  NOT undone     Lock: gone\n"
                         "  NOT undone     First: stopped before its undo began\n"
                         "  Left in place  Update code, Migrate (failed in its middle)\n"
                         "  Downtime       not measured (the recipe has no http.probe)\n"
                         "  Journal        /j/r1.jsonl\n"
                         "\n"
                         "An undo failed too: look at it by hand before the next run · 14.2 s · "
                         "exit status 5\n";
  assert_string_equal(stage_err(s), expected);
  ui_view_free(view);
  stage_free(s);
}

static void what_an_undo_does_stands_below_its_heading(void **state) {
  (void)state;
  stage *s = stage_new();
  ui_view *view = view_of(s, UI_VERBOSE);
  begin(view);
  see(view, DR_EVENT_UNDO_STARTED, "{\"step\":\"Stop api\"}");
  see(view, DR_EVENT_OP_STARTED, "{" OP ",\"preview\":\"start api\"}");
  see(view, DR_EVENT_LOG, "{\"level\":\"info\",\"message\":\"back again\"}");
  see(view, DR_EVENT_OP_FINISHED, "{" OP ",\"seconds\":0.1}");
  see(view, DR_EVENT_UNDO_FINISHED, "{\"step\":\"Stop api\",\"seconds\":1.2}");
  assert_has(stage_out(s), "Undo  Stop api …\n"
                           "      > compose.build on local: start api\n"
                           "      back again\n"
                           "Undo  Stop api … 1.2 s\n");
  ui_view_free(view);
  stage_free(s);
}

static void a_failed_walk_changed_nothing(void **state) {
  (void)state;
  stage *s = stage_new();
  ui_view *view = view_of(s, UI_QUIET);
  begin(view);
  see(view, DR_EVENT_RUN_FINISHED,
      "{\"status\":\"failed\",\"exit_code\":1,\"seconds\":0.2,\"begun\":false,"
      "\"changed\":false,\"error\":{\"code\":\"ssh.auth\",\"message\":\"no key fits\"}}");
  assert_has(stage_err(s), "\nFailed\n\n  no key fits\n");
  assert_has(stage_err(s), "\nNothing was changed: the run had not begun, this was the look at the "
                           "world before it · 0.2 s · exit status 1\n");
  assert_has_not(stage_err(s), "Downtime");
  ui_view_free(view);
  stage_free(s);
}

/* Two parallel steps fail: one for a reason, one because it was told to stop. */
static void the_reason_is_told_not_its_consequence(void **state) {
  (void)state;
  stage *s = stage_new();
  ui_view *view = view_of(s, UI_NORMAL);
  begin(view);
  see(view, DR_EVENT_STEP_STARTED, "{" BUILD "}");
  see(view, DR_EVENT_STEP_STARTED, "{\"step\":\"A\",\"depth\":1,\"lane\":\"main/1\"}");
  see(view, DR_EVENT_STEP_STARTED, "{\"step\":\"B\",\"depth\":1,\"lane\":\"main/2\"}");
  see(view, DR_EVENT_STEP_FAILED,
      "{\"step\":\"B\",\"depth\":1,\"lane\":\"main/2\",\"seconds\":1," FAILED "}");
  see(view, DR_EVENT_STEP_FAILED,
      "{\"step\":\"A\",\"depth\":1,\"lane\":\"main/1\",\"seconds\":1,\"code\":\"cancelled\","
      "\"message\":\"another strand failed\"}");
  see(view, DR_EVENT_STEP_FAILED, "{" BUILD ",\"seconds\":1.5," FAILED "}");
  see(view, DR_EVENT_RUN_FINISHED,
      "{\"status\":\"failed\",\"exit_code\":1,\"seconds\":2,\"changed\":true,"
      "\"error\":{" FAILED "}}");
  assert_has(stage_out(s), "  - B … failed after 1.0 s\n      exit status 1\n"
                           "  - A … stopped after 1.0 s\n"
                           "[1/2] Build images … failed after 1.5 s\n");
  assert_has(stage_err(s), "Failed in [1/2] Build images: B after 1.0 s\n");
  ui_view_free(view);
  stage_free(s);
}

static void a_log_never_has_control_characters(void **state) {
  (void)state;
  stage *s = stage_new();
  ui_view *view = view_of(s, UI_VERBOSE);
  begin(view);
  build_begins(view);
  see(view, DR_EVENT_LOG, "{\"level\":\"info\",\"message\":\"a\\u001b[2Jb\\u0007\\rc\"}");
  see(view, DR_EVENT_TICK, "{\"seconds\":1}");
  build_ends(view);
  end_well(view);
  for (const char *at = stage_out(s); *at != '\0'; at++) {
    assert_true((unsigned char)*at >= 0x20 || *at == '\n');
  }
  ui_view_free(view);
  stage_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_log_has_one_plain_line_a_step),
      cmocka_unit_test(a_long_step_says_that_it_began),
      cmocka_unit_test(what_belongs_to_a_step_stands_below_its_heading),
      cmocka_unit_test(output_of_several_hosts_stands_in_one_column_with_their_names),
      cmocka_unit_test(verbose_shows_ops_and_their_output),
      cmocka_unit_test(quiet_has_only_the_final_line),
      cmocka_unit_test(quiet_names_the_hosts_that_failed),
      cmocka_unit_test(availability_is_told_in_one_line),
      cmocka_unit_test(live_lines_show_the_op_and_fit_the_width),
      cmocka_unit_test(bytes_being_moved_have_a_bar),
      cmocka_unit_test(a_narrower_terminal_is_erased_row_by_row),
      cmocka_unit_test(other_lanes_are_counted),
      cmocka_unit_test(after_a_signals_line_the_region_begins_anew),
      cmocka_unit_test(a_failure_fits_one_screen_and_says_what_to_do),
      cmocka_unit_test(what_an_undo_does_stands_below_its_heading),
      cmocka_unit_test(a_failed_walk_changed_nothing),
      cmocka_unit_test(the_reason_is_told_not_its_consequence),
      cmocka_unit_test(a_log_never_has_control_characters),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
