/* The gate: what a dry run starts, what stands in the plan, what is written before something is
 * done, and where a secret may be seen. With fake ops of each kind. */
#include "embedding.h"
#include "fake_binding.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

static embedding *the_world;

static int begin(void **state) {
  fake_started[0] = '\0';
  fake_on_start = NULL;
  int failed = embedding_begin(state);
  the_world = *state;
  return failed;
}

static int load(embedding *world, const char *body) {
  char text[2048];
  snprintf(text, sizeof text, "return recipe { name = \"t\", run = function()\n%s\nend }\n", body);
  return embedding_load(world, text);
}

static int run(embedding *world, const char *body) {
  int status = load(world, body);
  fake_started[0] = '\0';
  return status == DR_OK ? dr_run(world->rt, &world->err) : status;
}

static int plan(embedding *world, const char *body) {
  int status = load(world, body);
  return status == DR_OK ? dr_plan(world->rt, &world->err) : status;
}

/* ---- what is started */

static const char each_kind[] = "fake.query { name = \"q\" } fake.action { name = \"a\" }"
                                " fake.check { name = \"c\" }";

static void a_dry_run_starts_queries_only(void **state) {
  assert_int_equal(plan(*state, each_kind), DR_OK);
  assert_string_equal(fake_started, "q ");
}

static void a_run_starts_all_after_the_queries_of_the_walk(void **state) {
  assert_int_equal(run(*state, each_kind), DR_OK);
  assert_string_equal(fake_started, "q q a c ");
}

static void nothing_is_started_for_a_call_that_is_wrong(void **state) {
  static const char *const wrong[] = {
      "fake.query { nmae = \"q\" }",
      "fake.query { name = 5 }",
      "fake.query { \"q\" }",
      "fake.query \"q\"",
      "fake.query { command = {} }",
      "fake.query { command = \"\" }",
      "fake.query { command = { {} } }",
      "fake.query { any = print }",
      "fake.query { map = { 1 } }",
      "fake.query { map = { a = {} } }",
      "fake.query { within = \"x\" }",
      "fake.query { within = -1 }",
      "fake.query { words = { 1.5 } }",
      "fake.needs {}",
      "fake.query { name = setmetatable({}, { __tostring = function() return \"q\" end }) }",
  };
  embedding *world = *state;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    if (run(world, wrong[i]) != DR_RECIPE)
      fail_msg("%s: [%s] %s", wrong[i], world->err.code, world->err.message);
    assert_string_equal(fake_started, "");
    assert_non_null(strstr(world->err.where, "t.lua:2"));
  }
  run(world, wrong[0]);
  assert_non_null(strstr(world->err.hint, "did you mean 'name'?"));
}

static void the_walk_ends_where_a_query_fails(void **state) {
  embedding *world = *state;
  assert_int_equal(run(world, "fake.action { name = \"a\" } fake.network { fails = \"away\" }"),
                   DR_FAILED);
  assert_string_equal(fake_started, "fake.network ");
  assert_false(embedding_exists(world, "state"));
  assert_string_equal(world->err.op, "fake.network");
}

/* ---- the plan */

static void the_plan_has_each_op_in_order(void **state) {
  embedding *world = *state;
  plan(world, "step(\"s\", function() fake.action { name = \"a\" } end) fake.check {}");
  assert_true(
      embedding_told(world, "plan_op", "\"n\":1,\"op\":\"fake.action\",\"kind\":\"action\""));
  assert_true(embedding_told(world, "plan_op", "\"effects\":[\"change\",\"downtime\"]"));
  assert_true(embedding_told(world, "plan_op", "\"preview\":\"fake.action a \""));
  assert_true(embedding_told(world, "plan_op", "\"step\":\"s\",\"depth\":1"));
  assert_true(embedding_told(world, "plan_op", "\"n\":2,\"op\":\"fake.check\""));
  assert_true(embedding_told(world, "plan_finished", "\"effects\":{\"change\":1,\"downtime\":1}"));
}

static void a_result_that_is_read_is_an_assumption(void **state) {
  embedding *world = *state;
  plan(world, "local a = fake.action { result = { x = 1 } }"
              " local b = fake.action { result = { x = 1 } }"
              " fake.check {} if a.x == 1 then fake.check {} end");
  assert_true(embedding_told(world, "plan_op", "\"n\":1,"));
  assert_true(embedding_told(world, "plan_op", "\"assumed\":true"));
  assert_int_equal(embedding_count(world, "plan_op"), 4);
  const char *second = strstr(world->events, "\"n\":2,");
  assert_non_null(strstr(second, "\"assumed\":false"));
  assert_non_null(strstr(strstr(world->events, "\"n\":3,"), "\"assumes\":[],"));
  assert_non_null(strstr(strstr(world->events, "\"n\":4,"), "\"assumes\":[1],"));
}

/* How each way of reading a stub marks it. */
static void every_way_to_read_a_result_is_noticed(void **state) {
  static const char *const reads[] = {
      "return a.x",
      "return a.none",
      "return #a.list",
      "for k in pairs(a) do return k end",
      "return tostring(a)",
      "return json.encode(a)",
      "fake.query { any = a }",
      "fake.query { any = { deep = { a } } }",
      "fail(a)",
      "log(a)",
      "for _, v in ipairs(a.list) do return v end",
  };
  embedding *world = *state;
  for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
    char body[400];
    snprintf(body, sizeof body,
             "local a = fake.action { result = { x = 1, list = { 1 } } }"
             " local function look() %s end pcall(look) fake.check { name = \"last\" }",
             reads[i]);
    free(world->events);
    world->events = NULL;
    world->length = 0;
    assert_int_equal(plan(world, body), DR_OK);
    const char *last = strstr(world->events, "fake.check last");
    if (!strstr(last, "\"assumes\":[1]")) fail_msg("%s\n%s", reads[i], world->events);
  }
}

static void an_assumption_stays_in_its_lane(void **state) {
  embedding *world = *state;
  plan(world, "local a = fake.action { result = { x = 1 } }"
              " parallel({ 1, 2 }, { limit = 1 }, function(i) end)"
              " parallel({ 1, 2 }, function(i) if i == 1 then return a.x end"
              " fake.check { name = \"two\" } end)"
              " fake.check { name = \"after\" }");
  assert_non_null(strstr(strstr(world->events, "fake.check two"), "\"assumes\":[],"));
}

static void what_an_action_touches_is_unknown_until_then(void **state) {
  embedding *world = *state;
  plan(world, "fake.query { name = \"before\" } fake.action {} fake.query { name = \"after\" }"
              " fake.network { name = \"other\" }");
  assert_string_equal(fake_started, "before other ");
  assert_non_null(strstr(strstr(world->events, "fake.query after"), "\"unknown\":true"));
  assert_non_null(strstr(strstr(world->events, "fake.network other"), "\"unknown\":false"));
}

static void a_preview_of_odd_bytes_is_in_the_plan_and_is_done(void **state) {
  embedding *world = *state;
  assert_int_equal(plan(world, "step(\"caf\\xe9\", function() fake.odd() end)"), DR_OK);
  assert_true(embedding_told(world, "plan_op", "write caf\\\\xE9"));
  assert_true(embedding_told(world, "plan_step", "caf\\\\xE9"));
  assert_int_equal(run(world, "step(\"caf\\xe9\", function() fake.odd() end)"), DR_OK);
  char *journal = embedding_journal(world);
  assert_non_null(strstr(journal, "{\"$base64\":\"/wA=\"}"));
  free(journal);
}

/* ---- the journal */

static void look_for_intent(dr_op *op) {
  char wanted[64];
  if (op->spec->kind != DR_ACTION) return;
  char *journal = embedding_journal(the_world);
  snprintf(wanted, sizeof wanted, "\"type\":\"intent\",\"seq\":%lld", (long long)op->seq);
  if (!strstr(journal, wanted)) strncat(fake_started, "(unwritten) ", 64);
  if (strstr(journal, "\"type\":\"outcome\"")) strncat(fake_started, "(too early) ", 64);
  free(journal);
}

static void an_action_is_written_down_before_it_begins(void **state) {
  fake_on_start = look_for_intent;
  assert_int_equal(run(*state, "fake.action { name = \"a\", result = { x = 1 } }"), DR_OK);
  assert_string_equal(fake_started, "a ");
  char *journal = embedding_journal(*state);
  assert_non_null(strstr(journal, "\"op\":\"fake.action\""));
  assert_non_null(strstr(journal, "\"args\":{\"name\":\"a\",\"result\":{\"x\":1}}"));
  assert_non_null(strstr(journal, "\"ok\":true"));
  assert_non_null(strstr(journal, "\"result\":{\"x\":1}"));
  free(journal);
}

static void without_a_journal_nothing_begins(void **state) {
  embedding *world = *state;
  world->options.state_dir = "/proc/nowhere";
  assert_int_equal(run(world, "step(\"s\", function() fake.action { name = \"a\" } end)"),
                   DR_FAILED);
  assert_string_equal(world->err.code, "journal.create");
  assert_string_equal(fake_started, "");
  assert_true(embedding_told(world, "run_finished", "\"changed\":false"));
}

static struct rlimit no_limit;

static void fill_the_disk(dr_op *op) {
  struct rlimit full = {.rlim_cur = 1, .rlim_max = no_limit.rlim_max};
  if (op->spec->kind == DR_ACTION) setrlimit(RLIMIT_FSIZE, &full);
}

static void when_the_disk_is_full_nothing_more_begins(void **state) {
  embedding *world = *state;
  signal(SIGXFSZ, SIG_IGN);
  getrlimit(RLIMIT_FSIZE, &no_limit);
  fake_on_start = fill_the_disk;
  int status = run(world, "fake.action { name = \"a\" } fake.action { name = \"b\" }");
  setrlimit(RLIMIT_FSIZE, &no_limit);
  assert_int_equal(status, DR_FAILED);
  assert_string_equal(world->err.code, "journal.write");
  assert_string_equal(fake_started, "a ");
  assert_true(embedding_told(world, "run_finished", "\"changed\":true"));
}

/* ---- secrets */

static void a_secret_is_seen_nowhere(void **state) {
  embedding *world = *state;
  assert_int_equal(run(world, "mask(\"DB\", \"hunter2\") local s = \"x hunter2 y\""
                              " log(s) warn(s) step(s, function()"
                              "   fake.query { name = s, any = { { s }, { [s] = s } } }"
                              "   fake.action { name = s, result = { s } }"
                              "   pcall(fake.action, { fails = s })"
                              " end):undo(function() fail(s) end)"
                              " fake.network { result = { out = json.encode { password = s } } }"
                              " fake.check { fails = s }"),
                   DR_UNDO_FAILED);
  char *journal = embedding_journal(world);
  assert_non_null(strstr(journal, "[secret DB]"));
  assert_null(strstr(journal, "hunter2")); /* not even in the source of the recipe */
  free(journal);
  assert_null(strstr(world->events, "hunter2"));
  assert_non_null(strstr(world->events, "it failed: x [secret DB] y"));
  assert_string_equal(world->err.message, "it failed: x [secret DB] y");
  assert_string_equal(world->err.hint, "not so: x [secret DB] y");
  assert_string_equal(world->err.detail, "x [secret DB] y");
  assert_string_equal(world->err.cause->message, "because of x [secret DB] y");
}

static void a_plan_shows_no_secret(void **state) {
  embedding *world = *state;
  assert_int_equal(plan(world, "mask(\"DB\", \"hunter2\") log(\"hunter2\")"
                               " step(\"hunter2\", function()"
                               "   fake.action { name = \"hunter2\" } end)"),
                   DR_OK);
  assert_null(strstr(world->events, "hunter2"));
  assert_true(embedding_told(world, "plan_op", "fake.action [secret DB]"));
}

static void a_secret_on_a_command_line_is_refused(void **state) {
  static const char *const commands[] = {"{ \"psql\", \"-p\", \"hunter2\" }",
                                         "{ \"psql\", \"--password=hunter2\" }",
                                         "\"psql -p hunter2\"", "\"echo aHVudGVyMg==\""};
  embedding *world = *state;
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    char body[200];
    snprintf(body, sizeof body, "mask(\"DB\", \"hunter2\") fake.action { command = %s }",
             commands[i]);
    assert_int_equal(run(world, body), DR_FAILED);
    assert_string_equal(world->err.code, "secret.in_command");
    assert_string_equal(fake_started, "");
    assert_null(strstr(world->err.message, "hunter2"));
  }
}

static void tell_a_long_line(dr_op *op) {
  char bytes[10000];
  memset(bytes, '.', sizeof bytes);
  for (size_t i = 0; i + 14 < sizeof bytes; i += 89) *stpcpy(bytes + i, "hunter2secret") = '.';
  for (size_t at = 0; at < sizeof bytes; at += 1000) dr__op_output(op, 1, bytes + at, 1000);
}

static void a_secret_in_a_long_line_of_output_is_masked(void **state) {
  embedding *world = *state;
  fake_on_start = tell_a_long_line;
  assert_int_equal(run(world, "mask(\"DB\", \"hunter2secret\") fake.check {}"), DR_OK);
  assert_true(embedding_count(world, "output") >= 2);
  assert_null(strstr(world->events, "hunter2"));
  assert_null(strstr(world->events, "2secret"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, embedding_end)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_dry_run_starts_queries_only),
      TEST(a_run_starts_all_after_the_queries_of_the_walk),
      TEST(nothing_is_started_for_a_call_that_is_wrong),
      TEST(the_walk_ends_where_a_query_fails),
      TEST(the_plan_has_each_op_in_order),
      TEST(a_result_that_is_read_is_an_assumption),
      TEST(every_way_to_read_a_result_is_noticed),
      TEST(an_assumption_stays_in_its_lane),
      TEST(what_an_action_touches_is_unknown_until_then),
      TEST(a_preview_of_odd_bytes_is_in_the_plan_and_is_done),
      TEST(an_action_is_written_down_before_it_begins),
      TEST(without_a_journal_nothing_begins),
      TEST(when_the_disk_is_full_nothing_more_begins),
      TEST(a_secret_is_seen_nowhere),
      TEST(a_plan_shows_no_secret),
      TEST(a_secret_on_a_command_line_is_refused),
      TEST(a_secret_in_a_long_line_of_output_is_masked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
