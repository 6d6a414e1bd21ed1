/* The registry of ops: what every op of every binding must say about itself. */
#include "ops/binding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef void (*look)(const dr_opspec *op);

static void each_op(look look_at) {
  for (const dr_binding *const *binding = dr__bindings; *binding; binding++)
    for (const dr_opspec *op = (*binding)->ops; op && op->name; op++) look_at(op);
}

static void check_name(const dr_opspec *op) {
  const char *dot = strchr(op->name, '.');
  assert_non_null(dot);
  assert_true(dot > op->name && dot[1]);
  assert_int_equal(strspn(op->name, "abcdefghijklmnopqrstuvwxyz0123456789_."), strlen(op->name));
  assert_ptr_equal(dr__op_find(op->name), op); /* no other has it */
}

static void check_shape(const dr_opspec *op) {
  if (!op->start) fail_msg("%s cannot be started", op->name);
  bool plain = strcmp(op->name, "time.now") == 0;
  if (!op->preview && !plain) fail_msg("%s has no preview", op->name);
}

static void check_effects(const dr_opspec *op) {
  const unsigned known = DR_CHANGE | DR_DOWNTIME | DR_DESTRUCTIVE | DR_IRREVERSIBLE;
  bool passing = strncmp(op->name, "lock.", 5) == 0; /* a lock goes with its run */
  if (op->kind == DR_ACTION && !op->effects && !passing)
    fail_msg("the action %s has no effects", op->name);
  if (op->kind != DR_ACTION && op->effects) fail_msg("%s is no action, but has effects", op->name);
  if (op->kind != DR_ACTION && op->touches) fail_msg("%s is no action, but touches", op->name);
  if (op->effects & ~known) fail_msg("%s has an effect that has no name", op->name);
  if (op->kind == DR_QUERY && !op->idempotent)
    fail_msg("the query %s cannot be asked again", op->name);
}

static void check_args(const dr_opspec *op) {
  for (const dr_arg *arg = op->args; arg && arg->name; arg++) {
    assert_true(arg->type <= DR_ARG_ANY);
    for (const dr_arg *other = op->args; other < arg; other++)
      if (strcmp(arg->name, other->name) == 0) fail_msg("%s has %s twice", op->name, arg->name);
  }
}

static void every_op_has_a_name_of_its_own(void **state) {
  (void)state;
  each_op(check_name);
}

static void every_op_can_be_started_and_shown(void **state) {
  (void)state;
  each_op(check_shape);
}

static void actions_have_effects_and_others_have_none(void **state) {
  (void)state;
  each_op(check_effects);
}

static void no_op_takes_an_argument_twice(void **state) {
  (void)state;
  each_op(check_args);
}

static void bindings_have_names_of_their_own(void **state) {
  (void)state;
  for (const dr_binding *const *binding = dr__bindings; *binding; binding++) {
    assert_non_null((*binding)->name);
    for (const dr_binding *const *other = dr__bindings; other < binding; other++)
      assert_string_not_equal((*binding)->name, (*other)->name);
  }
}

static void every_lua_part_says_what_it_gives(void **state) {
  (void)state;
  for (const dr_binding *const *binding = dr__bindings; *binding; binding++)
    if ((*binding)->lua && !(*binding)->gives)
      fail_msg("the Lua of %s would be run by everybody: say what it gives", (*binding)->name);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_op_has_a_name_of_its_own),
      cmocka_unit_test(every_op_can_be_started_and_shown),
      cmocka_unit_test(actions_have_effects_and_others_have_none),
      cmocka_unit_test(no_op_takes_an_argument_twice),
      cmocka_unit_test(bindings_have_names_of_their_own),
      cmocka_unit_test(every_lua_part_says_what_it_gives),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
