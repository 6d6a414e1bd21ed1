/* A program that embeds the library: it sees deployrun.h and nothing else. */
#include "embedding.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const char with_params[] =
    "return recipe { name = \"demo\", summary = \"A demonstration\", params = {\n"
    "  count = param.int { default = 3, help = \"how many\" },\n"
    "  wait = param.duration { default = \"5m\" },\n"
    "  mode = param.enum { choices = { \"fast\", \"slow\" }, default = \"slow\" },\n"
    "  dir = param.path { required = true },\n"
    "}, run = function(p) log(p.count, p.wait, p.mode, p.dir) end }\n";

static void a_recipe_describes_itself(void **state) {
  embedding *world = *state;
  dr_param param;
  assert_int_equal(embedding_load(world, with_params), DR_OK);
  assert_string_equal(dr_recipe_name(world->rt), "demo");
  assert_string_equal(dr_recipe_summary(world->rt), "A demonstration");
  assert_non_null(strstr(dr_recipe_path(world->rt), "/t.lua"));
  assert_true(dr_recipe_param(world->rt, 0, &param));
  assert_string_equal(param.name, "count");
  assert_string_equal(param.initial, "3");
  assert_string_equal(param.help, "how many");
  assert_true(dr_recipe_param(world->rt, 1, &param));
  assert_string_equal(param.name, "dir");
  assert_true(param.required);
  assert_null(param.initial);
  assert_true(dr_recipe_param(world->rt, 2, &param));
  assert_string_equal(param.choices, "fast|slow");
  assert_true(dr_recipe_param(world->rt, 3, &param));
  assert_string_equal(param.type, "duration");
  assert_false(dr_recipe_param(world->rt, 4, &param));
}

static void values_are_checked_when_they_are_set(void **state) {
  embedding *world = *state;
  assert_int_equal(embedding_load(world, with_params), DR_OK);
  assert_int_equal(dr_set(world->rt, "cuont", "3", &world->err), DR_USAGE);
  assert_string_equal(world->err.code, "param.unknown");
  assert_int_equal(dr_set(world->rt, "count", "three", &world->err), DR_USAGE);
  assert_string_equal(world->err.code, "param.type");
  assert_int_equal(dr_run(world->rt, &world->err), DR_USAGE);
  assert_string_equal(world->err.code, "param.missing");
  assert_int_equal(dr_set(world->rt, "dir", "/srv", &world->err), DR_OK);
  assert_int_equal(dr_set(world->rt, "mode", "fast", &world->err), DR_OK);
  assert_int_equal(dr_run(world->rt, &world->err), DR_OK);
  assert_true(embedding_told(world, "log", "3 300.0 fast /srv"));
}

static void files_give_values_and_say_where_they_are_wrong(void **state) {
  embedding *world = *state;
  char path[128];
  snprintf(path, sizeof path, "%s/values", world->folder);
  assert_int_equal(embedding_load(world, with_params), DR_OK);
  embedding_write(world, "values", "# a comment\n\n dir = \"/srv/app\"\nexport count=7\n");
  assert_int_equal(dr_set_file(world->rt, path, &world->err), DR_OK);
  assert_int_equal(dr_run(world->rt, &world->err), DR_OK);
  assert_true(embedding_told(world, "log", "7 300.0 slow /srv/app"));
  embedding_write(world, "values", "dir=/srv\nhunter2\n");
  assert_int_equal(dr_set_file(world->rt, path, &world->err), DR_USAGE);
  assert_non_null(strstr(world->err.where, "/values:2"));
  assert_null(strstr(world->err.message, "hunter2"));
  assert_int_equal(dr_set_file(world->rt, world->folder, &world->err), DR_USAGE);
  assert_int_equal(dr_env_file(world->rt, "/nowhere", &world->err), DR_USAGE);
}

static void a_plan_changes_nothing(void **state) {
  embedding *world = *state;
  assert_int_equal(embedding_plan(world,
                                  "step(\"Touch\", function() here:run { \"touch\", \"x\" } end)"
                                  "  log(\"between\")  here:read(\"pwd\")"),
                   DR_OK);
  assert_false(embedding_exists(world, "x"));
  assert_false(embedding_exists(world, "state"));
  assert_true(embedding_told(world, "plan_step", "\"step\":\"Touch\""));
  assert_true(embedding_told(world, "plan_op", "touch x"));
  assert_true(embedding_told(world, "plan_finished", "\"actions\":1"));
  assert_true(embedding_told(world, "run_finished", "\"status\":\"done\""));
  assert_int_equal(embedding_count(world, "op_started"), 0);
}

static void a_run_does_it_and_tells_it_in_order(void **state) {
  embedding *world = *state;
  assert_int_equal(
      embedding_run(world, "step(\"Touch\", function() here:run { \"touch\", \"x\" } end)"), DR_OK);
  assert_true(embedding_exists(world, "x"));
  static const char *const order[] = {"run_started", "step_started",  "op_started",
                                      "op_finished", "step_finished", "run_finished"};
  const char *at = world->events;
  for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
    char begin[64];
    snprintf(begin, sizeof begin, "{\"event\":\"%s\"", order[i]);
    at = strstr(at, begin);
    assert_non_null(at);
  }
  char *journal = embedding_journal(world);
  assert_non_null(strstr(journal, "\"type\":\"intent\""));
  assert_non_null(strstr(journal, "\"type\":\"outcome\""));
  assert_non_null(strstr(journal, "\"type\":\"end\""));
  free(journal);
}

static void a_run_that_the_walk_before_it_refuses_leaves_nothing(void **state) {
  embedding *world = *state;
  char runs[128];
  assert_int_equal(embedding_run(world, "here:read(\"sleep 0.01\")  fail(\"not today\")"),
                   DR_FAILED);
  assert_string_equal(world->err.message, "not today");
  snprintf(runs, sizeof runs, "%s/runs", world->state);
  assert_true(rmdir(runs) == 0 || errno == ENOENT); /* it is empty */
  assert_int_equal(dr_run(world->rt, &world->err), DR_FAILED);
  assert_int_equal(embedding_count(world, "run_finished"), 2);
  assert_true(rmdir(runs) == 0 || errno == ENOENT);
}

static void one_runtime_can_run_again(void **state) {
  embedding *world = *state;
  assert_int_equal(embedding_run(world, "here:run(\"echo x >>x\")"), DR_OK);
  assert_int_equal(dr_run(world->rt, &world->err), DR_OK);
  assert_int_equal(dr_plan(world->rt, &world->err), DR_OK);
  assert_int_equal(embedding_count(world, "run_finished"), 3);
}

static void calls_in_the_wrong_order_are_refused(void **state) {
  embedding *world = *state;
  assert_int_equal(dr_runtime_new(&world->rt, &world->options, &world->err), DR_OK);
  assert_int_equal(dr_run(world->rt, &world->err), DR_USAGE);
  assert_string_equal(world->err.code, "usage.not_loaded");
  assert_string_equal(dr_recipe_name(world->rt), "");
  assert_int_equal(dr_set(world->rt, "x", "1", &world->err), DR_USAGE);
  assert_int_equal(dr_load(world->rt, "no-such-recipe", &world->err), DR_USAGE);
  assert_int_equal(embedding_load(world, "return recipe { name = \"t\", run = function() end }"),
                   DR_OK);
  assert_int_equal(dr_load(world->rt, "t", &world->err), DR_USAGE);
  assert_string_equal(world->err.code, "usage.loaded");
}

static void run_again(const dr_event *event, embedding *world) {
  if (dr_event_kind(event) != DR_EVENT_LOG) return;
  world->on_event = NULL;
  assert_int_equal(dr_run(world->rt, &world->err), DR_USAGE);
  assert_string_equal(world->err.code, "usage.busy");
}

static void an_observer_cannot_start_a_run(void **state) {
  embedding *world = *state;
  world->on_event = run_again;
  assert_int_equal(embedding_run(world, "log(\"now\")"), DR_OK);
  assert_null(world->on_event);
}

/* ---- cancelling */

/* The event after which the run is cancelled: how many more of them. */
static dr_event_type awaited;
static int missing;
static sem_t come;

static void count_awaited(const dr_event *event, embedding *world) {
  (void)world;
  if (dr_event_kind(event) == awaited && --missing == 0) sem_post(&come);
}

static void *cancel_then(void *data) {
  const struct timespec soon = {.tv_nsec = 20 * 1000 * 1000};
  while (sem_wait(&come) != 0) {
  }
  nanosleep(&soon, NULL); /* what begins with the event is under way */
  dr_cancel(data);
  return NULL;
}

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Runs the loaded recipe while another thread cancels it after so many events of a kind; returns
 * the status. */
static int run_and_cancel(embedding *world, dr_event_type kind, int count) {
  pthread_t other;
  double began = seconds_now();
  awaited = kind;
  missing = count;
  world->on_event = count_awaited;
  assert_int_equal(sem_init(&come, 0, 0), 0);
  assert_int_equal(pthread_create(&other, NULL, cancel_then, world->rt), 0);
  int status = dr_run(world->rt, &world->err);
  sem_post(&come); /* it may have failed before */
  pthread_join(other, NULL);
  sem_destroy(&come);
  assert_true(seconds_now() - began < 40);
  return status;
}

static void another_thread_can_cancel(void **state) {
  embedding *world = *state;
  assert_int_equal(embedding_load(world, "return recipe { name = \"t\", run = function()\n"
                                         "  local here = host(\"local\")\n"
                                         "  step(\"One\", function() here:run { \"true\" } end)\n"
                                         "    :undo(function() log(\"undone\") end)\n"
                                         "  step(\"Two\", function()\n"
                                         "    here:run { \"sleep\", \"60\" } end)\n"
                                         "end }"),
                   DR_OK);
  assert_int_equal(run_and_cancel(world, DR_EVENT_STEP_STARTED, 2), DR_INTERRUPTED);
  assert_string_equal(world->err.code, "cancelled");
  assert_true(embedding_told(world, "log", "undone"));
  assert_true(embedding_told(world, "run_finished", "\"undone\":[\"One\"]"));
}

static void a_recipe_that_computes_can_be_cancelled(void **state) {
  embedding *world = *state;
  assert_int_equal(embedding_load(world,
                                  "return recipe { name = \"t\", run = function()\n"
                                  "  if host(\"local\"):run(\"echo x\").stdout ~= \"\" then\n"
                                  "    while true do pcall(function() while true do end end) end\n"
                                  "  end\nend }"),
                   DR_OK);
  assert_int_equal(run_and_cancel(world, DR_EVENT_OP_FINISHED, 2), DR_INTERRUPTED);
}

static void a_cancel_before_the_run_is_heard_before_its_first_op(void **state) {
  embedding *world = *state;
  assert_int_equal(embedding_load(world, "return recipe { name = \"t\", run = function()\n"
                                         "  host(\"local\"):run { \"true\" }\nend }"),
                   DR_OK);
  dr_cancel(world->rt);
  assert_int_equal(dr_run(world->rt, &world->err), DR_INTERRUPTED);
  assert_int_equal(embedding_count(world, "op_started"), 0);
  assert_int_equal(dr_plan(world->rt, &world->err), DR_OK); /* it was heard once */
}

static void cancel_now(const dr_event *event, embedding *world) {
  if (dr_event_kind(event) == DR_EVENT_RUN_STARTED) dr_cancel(world->rt);
}

static void a_cancel_between_walk_and_run_stops_the_first_action(void **state) {
  embedding *world = *state;
  world->on_event = cancel_now;
  assert_int_equal(embedding_run(world, "here:run { \"touch\", \"x\" }"), DR_INTERRUPTED);
  assert_false(embedding_exists(world, "x"));
}

static void cleanup_that_takes_too_long_is_a_failed_undo(void **state) {
  embedding *world = *state;
  world->options.grace_ms = 300;
  assert_int_equal(embedding_load(world,
                                  "return recipe { name = \"t\", run = function()\n"
                                  "  local here = host(\"local\")\n"
                                  "  step(\"One\", function() here:run { \"true\" } end)\n"
                                  "    :undo(function() here:run { \"sleep\", \"60\" } end)\n"
                                  "  here:run { \"sleep\", \"60\" }\n"
                                  "end }"),
                   DR_OK);
  assert_int_equal(run_and_cancel(world, DR_EVENT_STEP_FINISHED, 1), DR_UNDO_FAILED);
  assert_true(embedding_told(world, "run_finished", "\"not_undone\":[\"One\"]"));
}

static void cleanup_after_a_lost_lock_is_bounded_alike(void **state) {
  embedding *world = *state;
  char text[600];
  world->options.grace_ms = 300;
  snprintf(text, sizeof text,
           "return recipe { name = \"t\", run = function()\n"
           "  local here = host(\"local\")\n"
           "  here:lock(\"embed-%d\")\n"
           "  step(\"One\", function() here:run { \"true\" } end)\n"
           "    :undo(function() here:run { \"sleep\", \"20\" } end)\n"
           "  here:run \"pkill -KILL -f '[d]eployrun-embed-%d.lock'; sleep 20\"\n"
           "end }",
           (int)getpid(), (int)getpid());
  assert_int_equal(embedding_load(world, text), DR_OK);
  assert_int_equal(dr_run(world->rt, &world->err), DR_UNDO_FAILED);
  assert_string_equal(world->err.code, "lock.lost");
  assert_true(embedding_told(world, "run_finished", "\"not_undone\":[\"One\"]"));
  snprintf(text, sizeof text, "/tmp/deployrun-embed-%d.lock", (int)getpid());
  unlink(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, embedding_begin, embedding_end)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_recipe_describes_itself),
      TEST(values_are_checked_when_they_are_set),
      TEST(files_give_values_and_say_where_they_are_wrong),
      TEST(a_plan_changes_nothing),
      TEST(a_run_does_it_and_tells_it_in_order),
      TEST(a_run_that_the_walk_before_it_refuses_leaves_nothing),
      TEST(one_runtime_can_run_again),
      TEST(calls_in_the_wrong_order_are_refused),
      TEST(an_observer_cannot_start_a_run),
      TEST(another_thread_can_cancel),
      TEST(a_recipe_that_computes_can_be_cancelled),
      TEST(a_cancel_before_the_run_is_heard_before_its_first_op),
      TEST(a_cancel_between_walk_and_run_stops_the_first_action),
      TEST(cleanup_that_takes_too_long_is_a_failed_undo),
      TEST(cleanup_after_a_lost_lock_is_bounded_alike),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
