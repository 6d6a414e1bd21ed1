/* What a recipe cannot do: compute without end, use all memory, swallow a cancellation, act before
 * it runs. Each of these is tried here in the ways a recipe might, by mistake or not. */
#include "embedding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int with_limits(void **state) {
  int failed = embedding_begin(state);
  embedding *world = *state;
  world->options.cpu_limit_ms = 50;
  world->options.memory_limit = 8 << 20;
  return failed;
}

/* A loop that also allocates may come to the limit of memory before that of time. */
static void assert_stopped(embedding *world, const char *body, const char *code) {
  embedding_run(world, body);
  bool memory = strcmp(world->err.code, "recipe.memory_limit") == 0;
  if (strcmp(world->err.code, code) != 0 && !memory)
    fail_msg("%s\nended with [%s] %s", body, world->err.code, world->err.message);
}

static void a_loop_without_end_is_stopped_wherever_it_stands(void **state) {
  static const char *const loops[] = {
      "while true do end",
      "::again:: goto again",
      "local function f() return f() end f()",
      "for _ = 1, math.huge do end",
      "pcall(function() while true do end end) while true do pcall(error, \"x\") end",
      "xpcall(function() while true do end end, function() return \"caught\" end)",
      "xpcall(error, function() while true do end end)",
      "local co = coroutine.create(function() while true do end end) coroutine.resume(co)",
      "for _ in coroutine.wrap(function() while true do coroutine.yield(1) end end) do end",
      ("local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) "
       "while true do pcall(function() return t[1] end) end"),
      "local t <close> = setmetatable({}, { __close = function() while true do end end })",
      "table.sort({ 3, 1, 2 }, function() while true do end end)",
      "string.gsub(\"x\", \"x\", function() while true do end end)",
      "load(\"while true do end\")()",
      "retry({ attempts = 1 }, function() while true do end end)",
      "parallel({ 1, 2 }, { on_error = \"continue\" }, function() while true do end end)",
      "parallel({ 1 }, function() step(\"x\", function() while true do end end) end)",
      ("local co = coroutine.create(function() local x <close> = setmetatable({},"
       " { __close = function() while true do end end }) coroutine.yield() end)"
       " coroutine.resume(co) coroutine.close(co)"),
      "while true do os.time() end",
      "local function f() local x <close> = setmetatable({}, { __close = f }) f() end f()",
      ("local function f() local x <close> = setmetatable({}, { __close = f })"
       " while true do pcall(f) end end f()"),
      "local t = { 1, 2, 3 } while true do for _ in pairs(t) do end end",
  };
  for (size_t i = 0; i < sizeof loops / sizeof *loops; i++)
    assert_stopped(*state, loops[i], "recipe.cpu_limit");
}

static void the_top_level_has_limits_too(void **state) {
  embedding *world = *state;
  assert_int_equal(embedding_load(world, "while true do end"), DR_RECIPE);
  assert_string_equal(world->err.code, "recipe.cpu_limit");
  assert_non_null(strstr(world->err.where, "t.lua:1"));
  world->options.cpu_limit_ms = 5000;
  assert_int_equal(embedding_load(world, "local t = {} for i = 1, 1e9 do t[i] = {} end"),
                   DR_RECIPE);
  assert_string_equal(world->err.code, "recipe.memory_limit");
}

static void memory_is_bounded_however_it_is_taken(void **state) {
  static const char *const bombs[] = {
      "string.rep(\"x\", 1e9)",
      "pcall(string.rep, \"x\", 1e9)",
      "(\"x\"):rep(1e8, \"y\")",
      "local t = {} for i = 1, 1e9 do t[i] = i end",
      "local t = {} while true do t = { t, (\"x\"):rep(1000) } end",
      "local s = \"x\" while true do s = s .. s end",
      "pcall(function() local s = \"x\" while true do s = s .. s end end)",
      "xpcall(string.rep, function() return 1 end, \"x\", 1e9)",
      "coroutine.resume(coroutine.create(function() return (\"x\"):rep(1e9) end))",
      "coroutine.wrap(function() return (\"x\"):rep(1e9) end)()",
      "table.concat({ (\"x\"):rep(3e6), (\"y\"):rep(3e6) }, (\"z\"):rep(2e6))",
      "(\"x\"):rep(1e6):gsub(\"x\", (\"y\"):rep(100))",
      "local t = {} for i = 1, 1e6 do t[i] = coroutine.create(print) end",
      "parallel({ 1 }, { on_error = \"continue\" }, function() return (\"x\"):rep(1e9) end)",
      "step(\"x\", function() (\"x\"):rep(1e9) end)",
      "retry(function() (\"x\"):rep(1e9) end)",
      "json.decode(\"[\" .. (\"{},\"):rep(2e5) .. \"{}]\")",
  };
  embedding *world = *state;
  world->options.cpu_limit_ms = 5000;
  for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++)
    assert_stopped(world, bombs[i], "recipe.memory_limit");
}

static void what_is_shared_many_times_is_not_written_out(void **state) {
  embedding *world = *state;
  world->options.cpu_limit_ms = 5000;
  assert_stopped(world, "local t = { 1 } for _ = 1, 40 do t = { t, t } end json.encode(t)",
                 "recipe.argument");
  assert_non_null(strstr(world->err.message, "64 MiB"));
  assert_stopped(world, "local t = {} t.t = t json.encode(t)", "recipe.argument");
  assert_stopped(world, "local t = { 1 } for _ = 1, 40 do t = { t, t } end log(t) fail(t)",
                 "failed");
}

static void deep_recursion_is_an_error_like_any_other(void **state) {
  static const char *const deep[] = {
      "local function f() return 1 + f() end",
      "local function f() return pcall(f) and error(\"x\") end",
      "local function f() return (\"x\"):gsub(\"x\", f) end",
      ("local t = setmetatable({}, {}) getmetatable(t).__index = function(_, k) return t[k] end "
       "local function f() return t.x end"),
      "local function f() return coroutine.wrap(f)() end",
      "local function f() return load(\"return ...\")(f()) + 1 end",
      "local function f() error(setmetatable({}, { __tostring = f })) end",
  };
  embedding *world = *state;
  world->options.memory_limit = 256 << 20;
  world->options.cpu_limit_ms = 20000;
  for (size_t i = 0; i < sizeof deep / sizeof *deep; i++) {
    char body[400];
    snprintf(body, sizeof body, "%s local ok = pcall(f) log(\"went on\", ok)", deep[i]);
    if (embedding_run(world, body) != DR_OK)
      fail_msg("%s\nended with [%s] %s", body, world->err.code, world->err.message);
  }
  assert_true(embedding_told(world, "log", "went on false"));
}

/* ---- before it runs */

static void a_file_that_is_loaded_cannot_act(void **state) {
  static const char *const acts[] = {
      "host(\"local\")",
      "step(\"x\", function() end)",
      "parallel({ 1 }, function() end)",
      "http.get(\"http://x/\")",
      "return env.HOME",
      "secret(\"HOME\")",
      "os.time()",
      "wait(\"x\", function() end)",
      "confirm(\"x\")",
      "retry(function() host(\"local\") end)",
  };
  embedding *world = *state;
  for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
    int status = embedding_load(world, acts[i]);
    if (status != DR_RECIPE || strcmp(world->err.code, "recipe.effect_at_load") != 0)
      fail_msg("%s: [%s] %s", acts[i], world->err.code, world->err.message);
    assert_non_null(strstr(world->err.where, "t.lua:1"));
  }
}

static void a_module_that_is_loaded_cannot_act(void **state) {
  embedding *world = *state;
  embedding_write(world, "acts.lua", "host(\"local\"):run { \"touch\", \"x\" }");
  assert_stopped(world, "require \"acts\"", "recipe.effect_at_load");
  embedding_write(world, "acts.lua", "parallel({ 1 }, function() end)");
  assert_stopped(world, "require \"acts\"", "recipe.effect_at_load");
  embedding_write(world, "acts.lua", "return { go = function(here) here:run { \"true\" } end }");
  assert_int_equal(embedding_run(world, "require(\"acts\").go(here)"), DR_OK);
}

static void an_op_is_refused_where_it_cannot_wait(void **state) {
  static const char *const places[] = {
      "table.sort({ 2, 1 }, function(a, b) here:read(\"true\") return a < b end)",
      "(\"x\"):gsub(\"x\", function() here:read(\"true\") end)",
      "table.sort({ 2, 1 }, coroutine.wrap(function() here:read(\"true\") end))",
      "table.sort({ 2, 1 }, function() parallel({ 1 }, function() end) end)",
      "(\"x\"):gsub(\"x\", function() coroutine.wrap(function()"
      "  coroutine.wrap(function() here:read(\"true\") end)() end)() end)",
      "local co = coroutine.create(function() local x <close> = setmetatable({},"
      " { __close = function() here:read(\"true\") end }) coroutine.yield() end)"
      " coroutine.resume(co) assert(coroutine.close(co))",
  };
  embedding *world = *state;
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    assert_stopped(world, places[i], "recipe.cannot_wait");
    assert_stopped(world, places[i], "recipe.cannot_wait");
  }
  char body[400];
  snprintf(body, sizeof body, "pcall(function() %s end) here:read(\"true\")", places[3]);
  assert_int_equal(embedding_run(world, body), DR_OK); /* and afterwards it can again */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, with_limits, embedding_end)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_loop_without_end_is_stopped_wherever_it_stands),
      TEST(the_top_level_has_limits_too),
      TEST(memory_is_bounded_however_it_is_taken),
      TEST(what_is_shared_many_times_is_not_written_out),
      TEST(deep_recursion_is_an_error_like_any_other),
      TEST(a_file_that_is_loaded_cannot_act),
      TEST(a_module_that_is_loaded_cannot_act),
      TEST(an_op_is_refused_where_it_cannot_wait),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
