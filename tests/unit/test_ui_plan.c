/* The view of a dry run: everything a reviewer needs, nothing cut away. */
#include "ui/jsonl.h"
#include "ui/plan.h"
#include "ui_stage.h"

static const char *const params[] = {"dir=/srv/app"};

static void see(ui_plan *plan, dr_event_type type, const char *json) {
  tell(ui_plan_event, plan, type, json);
}

static void tell_plan(ui_plan *plan) {
  see(plan, DR_EVENT_RUN_STARTED,
      "{\"mode\":\"dry-run\",\"recipe\":\"rolling\",\"params\":{\"dir\":\"/srv/app\"}}");
  see(plan, DR_EVENT_PLAN_STEP,
      "{\"step\":\"Update code\",\"index\":1,\"depth\":0,\"lane\":\"main\",\"undo\":true}");
  see(plan, DR_EVENT_PLAN_OP,
      "{\"n\":1,\"op\":\"git.pull\",\"kind\":\"action\",\"target\":\"local\",\"effects\":["
      "\"change\"],"
      "\"preview\":\"git -C /srv/app pull --ff-only\",\"assumed\":true,\"unknown\":false,"
      "\"assumes\":[],\"where\":\"r.lua:3\",\"lane\":\"main\",\"depth\":1}");
  see(plan, DR_EVENT_PLAN_STEP,
      "{\"step\":\"Stop\",\"index\":0,\"depth\":1,\"lane\":\"main/1\",\"undo\":false}");
  see(plan, DR_EVENT_PLAN_OP,
      "{\"n\":2,\"op\":\"docker.stop\",\"kind\":\"action\",\"target\":\"web1\","
      "\"effects\":[\"change\",\"downtime\",\"irreversible\"],\"preview\":\"POST /stop\\nthen "
      "\\u001b[2K\","
      "\"assumes\":[1],\"lane\":\"main/1\",\"depth\":2}");
  see(plan, DR_EVENT_PLAN_OP,
      "{\"n\":3,\"op\":\"git.status\",\"kind\":\"query\",\"target\":\"local\",\"effects\":[],"
      "\"preview\":\"git status\",\"unknown\":true,\"assumes\":[],\"lane\":\"main\",\"depth\":0}");
  see(plan, DR_EVENT_PLAN_FINISHED,
      "{\"recipe\":\"rolling\",\"actions\":2,\"checks\":0,\"queries\":1}");
}

static ui_plan_options options_of(stage *s) {
  return (ui_plan_options){
      .screen = &s->screen, .recipe = "rolling", .params = params, .param_count = 1};
}

static void a_plan_says_what_where_and_with_what_effect(void **state) {
  (void)state;
  stage *s = stage_new();
  ui_plan_options options = options_of(s);
  ui_plan *plan = ui_plan_new(&options);
  tell_plan(plan);
  see(plan, DR_EVENT_RUN_FINISHED, "{\"exit_code\":0,\"seconds\":0.1}");
  assert_string_equal(
      stage_out(s), "Plan of rolling · dir=/srv/app · a dry run: nothing is changed\n"
                    "\n"
                    "[1] Update code  (has an undo)\n"
                    "   1  action  git.pull on local  [change]\n"
                    "               git -C /srv/app pull --ff-only\n"
                    "               its result is assumed here: it is not known before it is done\n"
                    "  - Stop  (in parallel)\n"
                    "     2  action  docker.stop on web1  [change, downtime, irreversible]\n"
                    "                 POST /stop\n"
                    "                 then \\x1b[2K\n"
                    "                 depends on the assumed result of 1\n"
                    "   3  query   git.status on local\n"
                    "               git status\n"
                    "               unknown until then: an action above changes what this reads\n"
                    "\n"
                    "2 steps, 3 ops: 2 actions, 0 checks, 1 query\n"
                    "  change        2\n"
                    "  downtime      1: 2\n"
                    "  irreversible  1: 2\n"
                    "  assumed       the result of 1\n"
                    "  unknown       the answer to 3\n"
                    "Nothing was changed. To do it, give the same command without --dry-run.\n");
  ui_plan_free(plan);
  stage_free(s);
}

static void a_long_preview_is_wrapped_on_a_terminal_and_whole_in_a_file(void **state) {
  (void)state;
  const char *op =
      "{\"n\":1,\"op\":\"run\",\"kind\":\"action\",\"target\":\"local\",\"effects\":[],"
      "\"preview\":\"docker-compose -f /srv/app/docker-compose.yml up --detach api\"}";
  stage *s = stage_new();
  ui_plan_options options = options_of(s);
  ui_plan *plan = ui_plan_new(&options);
  see(plan, DR_EVENT_PLAN_OP, op);
  assert_has(stage_out(s), " docker-compose -f /srv/app/docker-compose.yml up --detach api\n");
  s->columns = 50;
  s->screen.wrap[UI_OUT] = true;
  see(plan, DR_EVENT_PLAN_OP, op);
  assert_has(stage_out(s), "               docker-compose -f\n"
                           "                 /srv/app/docker-compose.yml up\n"
                           "                 --detach api\n");
  ui_plan_free(plan);
  stage_free(s);
}

static void a_broken_plan_does_not_invite_to_run_it(void **state) {
  (void)state;
  stage *s = stage_new();
  ui_plan_options options = options_of(s);
  ui_plan *plan = ui_plan_new(&options);
  tell_plan(plan);
  see(plan, DR_EVENT_RUN_FINISHED, "{\"exit_code\":1,\"seconds\":0.1}");
  assert_has_not(stage_out(s), "To do it");
  ui_plan_free(plan);
  stage_free(s);
}

static void quiet_shows_the_totals_only(void **state) {
  (void)state;
  stage *s = stage_new();
  ui_plan_options options = options_of(s);
  options.quiet = true;
  ui_plan *plan = ui_plan_new(&options);
  tell_plan(plan);
  assert_int_equal(strncmp(stage_out(s), "2 steps, 3 ops", 14), 0);
  ui_plan_free(plan);
  stage_free(s);
}

static void json_is_one_event_a_line_without_ticks(void **state) {
  (void)state;
  stage *s = stage_new();
  tell(ui_jsonl_event, &s->screen, DR_EVENT_TICK, "{\"seconds\":1}");
  tell(ui_jsonl_event, &s->screen, DR_EVENT_LOG, "{\"level\":\"info\",\"message\":\"a\\nb\"}");
  assert_string_equal(stage_out(s),
                      "{\"event\":\"log\",\"level\":\"info\",\"message\":\"a\\nb\"}\n");
  stage_free(s);
}

static void an_error_outside_a_run_is_json_too(void **state) {
  (void)state;
  stage *s = stage_new();
  dr_err err = {.code = "usage.file", .message = "no \"x\"\n\xFF"};
  ui_jsonl_error(&s->screen, &err, 2);
  assert_string_equal(stage_out(s),
                      "{\"event\":\"error\",\"exit_code\":2,\"error\":{\"code\":\"usage.file\","
                      "\"message\":\"no \\\"x\\\"\\n\xEF\xBF\xBD\"}}\n");
  stage_free(s);
}

static void tell_host(ui_plan *plan, int n, const char *host, const char *preview) {
  char op[256];
  snprintf(
      op, sizeof op,
      "{\"n\":%d,\"op\":\"target.run\",\"kind\":\"action\",\"target\":\"%s\",\"lane\":\"main/%s\","
      "\"effects\":[\"change\"],\"preview\":\"%s\"}",
      n, host, host, preview);
  see(plan, DR_EVENT_PLAN_OP, op);
}

static void hosts_that_do_the_same_are_one_line_and_others_are_not(void **state) {
  (void)state;
  stage *s = stage_new();
  ui_plan_options options = options_of(s);
  ui_plan *plan = ui_plan_new(&options);
  for (int i = 1; i <= 6; i++) {
    char host[16];
    snprintf(host, sizeof host, "web%d", i);
    tell_host(plan, 2 * i - 1, host, "stop");
    tell_host(plan, 2 * i, host, i == 3 ? "reboot" : "start");
  }
  see(plan, DR_EVENT_LOG, "{\"level\":\"info\",\"message\":\"afterwards\"}");
  assert_has(stage_out(s), "   1  action  target.run on web1, web2 … web6 (5 hosts)  [change]\n"
                           "               stop\n"
                           "   2  action  target.run on web1, web2 … web6 (5 hosts)  [change]\n"
                           "               start\n"
                           "   5  action  target.run on web3  [change]\n"
                           "               stop\n"
                           "   6  action  target.run on web3  [change]\n"
                           "               reboot\n"
                           "  afterwards\n");
  ui_plan_free(plan);
  stage_free(s);
}

static void with_v_every_host_has_its_own_line(void **state) {
  (void)state;
  stage *s = stage_new();
  ui_plan_options options = options_of(s);
  options.verbose = true;
  ui_plan *plan = ui_plan_new(&options);
  tell_host(plan, 1, "web1", "stop");
  tell_host(plan, 2, "web2", "stop");
  assert_has(stage_out(s), "   1  action  target.run on web1  [change]\n");
  assert_has(stage_out(s), "   2  action  target.run on web2  [change]\n");
  ui_plan_free(plan);
  stage_free(s);
}

static void paced(void *data, double seq, int64_t now_ms, bool due) {
  char json[128];
  snprintf(json, sizeof json, "{\"seq\":%.0f,\"message\":\"m\",\"bytes\":1,\"total\":9}", seq);
  dr_event *event = dr__event_new(DR_EVENT_PROGRESS, json);
  assert_int_equal(ui_jsonl_due(data, event, now_ms), due);
  dr__event_free(event);
}

static void bytes_being_moved_are_a_line_once_a_second(void **state) {
  (void)state;
  ui_jsonl_pace pace = {0};
  dr_event *plain = dr__event_new(DR_EVENT_PROGRESS, "{\"seq\":1,\"message\":\"m\"}");
  paced(&pace, 1, 5000, true);
  paced(&pace, 1, 5999, false);
  paced(&pace, 2, 5999, true);
  paced(&pace, 1, 6000, true);
  assert_true(ui_jsonl_due(&pace, plain, 6000));
  assert_true(ui_jsonl_due(&pace, plain, 6001));
  dr__event_free(plain);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(hosts_that_do_the_same_are_one_line_and_others_are_not),
      cmocka_unit_test(with_v_every_host_has_its_own_line),
      cmocka_unit_test(bytes_being_moved_are_a_line_once_a_second),
      cmocka_unit_test(a_plan_says_what_where_and_with_what_effect),
      cmocka_unit_test(a_long_preview_is_wrapped_on_a_terminal_and_whole_in_a_file),
      cmocka_unit_test(a_broken_plan_does_not_invite_to_run_it),
      cmocka_unit_test(quiet_shows_the_totals_only),
      cmocka_unit_test(json_is_one_event_a_line_without_ticks),
      cmocka_unit_test(an_error_outside_a_run_is_json_too),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
