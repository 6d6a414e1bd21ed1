/* What happens when a run fails: which steps are taken back, in which order, and what is told. */
#include "embedding.h"

#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Steps that say what they do: did(name) is a step with an undo. */
#define STEPS                                                                                      \
  "local function did(name) return step(name, function() log(\"do \" .. name) end)"                \
  " :undo(function() log(\"undo \" .. name) end) end "

/* The messages of all log events, each with a space behind it; static. */
static const char *logged(const embedding *world) {
  static char all[1024];
  all[0] = '\0';
  const char *at = world->events;
  while ((at = strstr(at, "{\"event\":\"log\""))) {
    const char *message = strstr(at, "\"message\":\"") + strlen("\"message\":\"");
    size_t used = strlen(all);
    snprintf(all + used, sizeof all - used, "%.*s; ", (int)strcspn(message, "\""), message);
    at = message;
  }
  return all;
}

static void a_good_run_undoes_nothing(void **state) {
  assert_int_equal(embedding_run(*state, STEPS "did \"a\" did \"b\""), DR_OK);
  assert_string_equal(logged(*state), "do a; do b; ");
}

static void the_last_step_is_undone_first(void **state) {
  embedding *world = *state;
  assert_int_equal(
      embedding_run(world, STEPS "did \"a\" did \"b\" did \"c\" here:run { \"false\" }"),
      DR_FAILED);
  assert_string_equal(logged(world), "do a; do b; do c; undo c; undo b; undo a; ");
  assert_true(embedding_told(world, "run_finished", "\"undone\":[\"c\",\"b\",\"a\"]"));
  assert_string_equal(world->err.code, "command.failed");
}

static void a_step_that_fails_does_not_undo_itself(void **state) {
  assert_int_equal(embedding_run(*state, STEPS
                                 "did \"a\" step(\"b\", function() here:run { \"false\" } end)"
                                 ":undo(function() log(\"undo b\") end)"),
                   DR_FAILED);
  assert_string_equal(logged(*state), "do a; undo a; ");
}

static void inner_steps_are_undone_when_the_outer_fails(void **state) {
  assert_int_equal(
      embedding_run(*state, STEPS
                    "step(\"outer\", function() did \"a\" did \"b\" here:run { \"false\" } end)"
                    ":undo(function() log(\"undo outer\") end)"),
      DR_FAILED);
  assert_string_equal(logged(*state), "do a; do b; undo b; undo a; ");
}

static void an_outer_step_is_undone_before_its_inner_ones(void **state) {
  assert_int_equal(
      embedding_run(*state,
                    STEPS "step(\"outer\", function() did \"a\" end)"
                          ":undo(function() log(\"undo outer\") end) here:run { \"false\" }"),
      DR_FAILED);
  assert_string_equal(logged(*state), "do a; undo outer; undo a; ");
}

static void an_error_that_was_caught_undoes_nothing(void **state) {
  assert_int_equal(
      embedding_run(*state, STEPS "did \"a\" pcall(here.run, here, { \"false\" }) did \"b\""),
      DR_OK);
  assert_string_equal(logged(*state), "do a; do b; ");
}

static void an_undo_that_fails_is_told_and_the_others_run(void **state) {
  embedding *world = *state;
  assert_int_equal(embedding_run(world, STEPS "did \"a\" step(\"b\", function() end)"
                                              ":undo(function() fail(\"cannot go back\") end)"
                                              "did \"c\" here:run { \"false\" }"),
                   DR_UNDO_FAILED);
  assert_string_equal(logged(world), "do a; do c; undo c; undo a; ");
  assert_true(embedding_told(world, "undo_failed", "cannot go back"));
  assert_true(embedding_told(world, "run_finished", "\"not_undone\":[\"b\"]"));
  assert_true(embedding_told(world, "run_finished", "\"exit_code\":5"));
  assert_string_equal(world->err.code, "command.failed");
}

static void an_undo_may_do_all_a_step_may(void **state) {
  embedding *world = *state;
  assert_int_equal(
      embedding_run(world, "here:run { \"touch\", \"x\" } step(\"a\", function() end)"
                           ":undo(function() step(\"inside\", function()"
                           "  parallel({ 1, 2 }, function() here:run { \"rm\", \"-f\", \"x\" } end)"
                           "end) end) here:run { \"false\" }"),
      DR_FAILED);
  assert_false(embedding_exists(world, "x"));
  assert_true(embedding_told(world, "op_finished", "\"step\":\"inside\""));
}

static void steps_of_lanes_are_undone_too(void **state) {
  embedding *world = *state;
  assert_int_equal(
      embedding_run(world,
                    STEPS "parallel({ \"a\", \"b\" }, did) did \"c\" here:run { \"false\" }"),
      DR_FAILED);
  assert_string_equal(logged(world), "do a; do b; do c; undo c; undo b; undo a; ");
}

static void a_dry_run_that_fails_undoes_nothing(void **state) {
  embedding *world = *state;
  assert_int_equal(embedding_plan(world, STEPS "did \"a\" fail(\"no\")"), DR_FAILED);
  assert_null(strstr(logged(world), "undo"));
  assert_true(embedding_told(world, "plan_step", "\"undo\":true"));
  assert_true(embedding_told(world, "run_finished", "\"changed\":false"));
}

static void the_walk_finds_what_is_wrong_before_anything_is_done(void **state) {
  embedding *world = *state;
  assert_int_equal(
      embedding_run(world, "here:run { \"touch\", \"x\" } here:rum { \"touch\", \"y\" }"),
      DR_RECIPE);
  assert_false(embedding_exists(world, "x"));
  assert_false(embedding_exists(world, "state"));
  assert_int_equal(embedding_count(world, "op_started"), 0);
  assert_int_equal(embedding_count(world, "run_finished"), 1);
  assert_non_null(strstr(world->err.where, "t.lua:3"));
}

static void a_run_that_fails_only_for_real_is_undone(void **state) {
  embedding *world = *state;
  assert_int_equal(embedding_run(world, STEPS "did \"a\" here:run { \"false\" } did \"b\""),
                   DR_FAILED);
  assert_string_equal(logged(world), "do a; undo a; ");
  assert_string_equal(world->err.code, "command.failed");
  assert_string_equal(world->err.op, "target.run");
}

/* Cancels when a step begins whose name is in the event. */
static void cancel_at_undo(const dr_event *event, embedding *world) {
  if (dr_event_kind(event) == DR_EVENT_UNDO_STARTED) dr_cancel(world->rt);
}

static void a_first_cancel_does_not_stop_an_undo_under_way(void **state) {
  embedding *world = *state;
  world->on_event = cancel_at_undo;
  assert_int_equal(embedding_run(world, "step(\"a\", function() end):undo(function()"
                                        "  here:run { \"sleep\", \"0.1\" }"
                                        "  here:run { \"touch\", \"x\" } end)"
                                        "here:run { \"false\" }"),
                   DR_FAILED);
  assert_true(embedding_exists(world, "x"));
}

static void a_second_cancel_stops_an_undo_and_is_no_failure_of_it(void **state) {
  embedding *world = *state;
  world->on_event = cancel_at_undo;
  assert_int_equal(embedding_load(world, "return recipe { name = \"t\", run = function()\n"
                                         "  local here = host(\"local\")\n"
                                         "  step(\"a\", function() end):undo(function()"
                                         "    here:run { \"sleep\", \"60\" } end)\n"
                                         "  step(\"b\", function() end):undo(function() end)\n"
                                         "  here:run { \"false\" }\nend }"),
                   DR_OK);
  dr_run(world->rt, &world->err);
  assert_true(embedding_told(world, "run_finished", "\"undone\":[\"b\"],\"not_undone\":[\"a\"]"));
  assert_false(embedding_told(world, "run_finished", "\"exit_code\":5"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, embedding_begin, embedding_end)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_good_run_undoes_nothing),
      TEST(the_last_step_is_undone_first),
      TEST(a_step_that_fails_does_not_undo_itself),
      TEST(inner_steps_are_undone_when_the_outer_fails),
      TEST(an_outer_step_is_undone_before_its_inner_ones),
      TEST(an_error_that_was_caught_undoes_nothing),
      TEST(an_undo_that_fails_is_told_and_the_others_run),
      TEST(an_undo_may_do_all_a_step_may),
      TEST(steps_of_lanes_are_undone_too),
      TEST(a_dry_run_that_fails_undoes_nothing),
      TEST(the_walk_finds_what_is_wrong_before_anything_is_done),
      TEST(a_run_that_fails_only_for_real_is_undone),
      TEST(a_first_cancel_does_not_stop_an_undo_under_way),
      TEST(a_second_cancel_stops_an_undo_and_is_no_failure_of_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
