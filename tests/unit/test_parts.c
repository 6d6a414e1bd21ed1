/* The bindings' Lua parts: each says what it gives, gives that and no more, and is not run before
 * it is asked for. */
#include "core/luajson.h"
#include "core/runtime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct world {
  dr_runtime *rt;
  dr_walk *walk;
  lua_State *L;
} world;

static int make_runtime(void **state) {
  dr_options options = DR_OPTIONS_INIT;
  dr_err err = DR_ERR_INIT;
  world *w = calloc(1, sizeof *w);
  *state = w;
  return w && dr_runtime_new(&w->rt, &options, &err) == DR_OK ? 0 : -1;
}

static int free_runtime(void **state) {
  world *w = *state;
  if (w->walk) dr__run_free(w->walk);
  dr_runtime_free(w->rt);
  free(w);
  return 0;
}

/* A new state in the place of the one before. */
static void make_state(world *w) {
  dr_err err = DR_ERR_INIT;
  if (w->walk) dr__run_free(w->walk);
  w->walk = dr__run_new(w->rt, &err);
  assert_non_null(w->walk);
  w->L = w->walk->L;
}

/* Runs Lua with dr and a text as its arguments; fails the test with what it throws. */
static void lua(world *w, const char *code, const char *argument) {
  dr_err err = DR_ERR_INIT;
  int failed = luaL_loadstring(w->L, code);
  if (!failed) {
    lua_getfield(w->L, LUA_REGISTRYINDEX, "deployrun.prelude");
    lua_pushstring(w->L, argument);
    failed = lua_pcall(w->L, 2, 0, 0);
  }
  if (!failed) return;
  dr__error_take(w->L, -1, &err);
  fail_msg("%s", err.message);
}

/* What each test's Lua begins with: the table and the name that an entry of `gives` means. */
#define FIND                                                                                       \
  "local dr, text = ...\n"                                                                         \
  "local function find(entry)\n"                                                                   \
  "  local owner, name = entry:match('^(%a*)[:.](.+)$')\n"                                         \
  "  if not owner then return dr.globals, entry end\n"                                             \
  "  return owner == '' and dr.Target or owner == 'dr' and dr or dr[owner], name\n"                \
  "end\n"

static void a_part_is_run_when_it_is_asked_for_and_not_before(void **state) {
  world *w = *state;
  make_state(w);
  lua(w,
      "local dr = ...\n"
      "for _, name in ipairs { 'Stack', 'make_host', 'lanes' } do\n"
      "  assert(rawget(dr, name) == nil, name .. ' is there too early')\n"
      "end\n"
      "assert(rawget(dr.Target, 'run') == nil and rawget(dr.globals, 'fs') == nil)\n"
      "assert(dr.Target.compose and rawget(dr, 'Stack'))\n"
      "assert(dr.Target.nothing == nil and dr.globals.nothing == nil and dr.nothing == nil)\n",
      "");
}

static void each_part_gives_what_it_says(void **state) {
  world *w = *state;
  for (const dr_binding *const *binding = dr__bindings; *binding; binding++) {
    if (!(*binding)->gives) continue;
    make_state(w);
    lua(w,
        FIND "for entry in text:gmatch('%S+') do\n"
             "  local members, name = find(entry)\n"
             "  assert(members[name] ~= nil, entry .. ' is not given')\n"
             "end\n",
        (*binding)->gives);
  }
}

/* Else it would be found or not by chance. */
static void no_part_gives_what_it_does_not_say(void **state) {
  world *w = *state;
  char all[16384] = "parallel dr.lanes dr.parallel_options dr.some dr.made_by dr.at_good_end ";
  for (const dr_binding *const *binding = dr__bindings; *binding; binding++) {
    size_t used = strlen(all);
    snprintf(all + used, sizeof all - used, "%s ", (*binding)->gives ? (*binding)->gives : "");
  }
  make_state(w);
  lua(w,
      FIND
      "local tables = { [''] = dr.globals, [':'] = dr.Target, ['dr.'] = dr,\n"
      "  ['Stack:'] = dr.Stack, ['Engine:'] = dr.Engine, ['Database:'] = dr.Database,\n"
      "  ['Postgres.'] = dr.Postgres }\n"
      "local before = {}\n"
      "for prefix, members in next, tables do\n"
      "  for name in next, members do before[prefix .. name] = true end\n"
      "end\n"
      "for entry in text:gmatch('%S+') do\n"
      "  local members, name = find(entry)\n"
      "  before[entry] = members[name] ~= nil\n"
      "end\n"
      "for prefix, members in next, tables do\n"
      "  for name in next, members do\n"
      "    assert(before[prefix .. name], prefix .. name .. ' is in the `gives` of no binding')\n"
      "  end\n"
      "end\n",
      all);
}

static void what_parts_would_give_is_named_without_running_them(void **state) {
  world *w = *state;
  make_state(w);
  lua(w,
      "local dr = ...\n"
      "local names = ' ' .. table.concat(dr.names_in(dr.Target), ' ') .. ' '\n"
      "assert(names:find(' compose ', 1, true) and names:find(' write ', 1, true), names)\n"
      "assert(not names:find('[:.]'), names)\n"
      "assert(rawget(dr.Target, 'compose') == nil)\n",
      "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_part_is_run_when_it_is_asked_for_and_not_before,
                                      make_runtime, free_runtime),
      cmocka_unit_test_setup_teardown(each_part_gives_what_it_says, make_runtime, free_runtime),
      cmocka_unit_test_setup_teardown(no_part_gives_what_it_does_not_say, make_runtime,
                                      free_runtime),
      cmocka_unit_test_setup_teardown(what_parts_would_give_is_named_without_running_them,
                                      make_runtime, free_runtime),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
