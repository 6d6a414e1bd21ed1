/* group.c - groups of hosts: the C side, which only compares targets. All else is in group.lua.
 * Called by it on the runtime's thread. */
#include "target.h"

#include "ops/binding.h"

#include <string.h>

extern const dr_lua_source dr__lua_group;

static bool same_text(const char *a, const char *b) {
  return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_json(const json_t *a, const json_t *b) {
  return a == b || json_equal(a, b);
}

static bool same(const dr_target *a, const dr_target *b) {
  return a == b ||
         (a && b && a->transport == b->transport && a->sudo == b->sudo &&
          same_text(a->name, b->name) && same_text(a->cwd, b->cwd) && same_text(a->user, b->user) &&
          same_json(a->env, b->env) && same_json(a->enter, b->enter) && a->within == b->within);
}

/* same(target, target) -> true when both are the same view of the same connection */
static int l_same(lua_State *L) {
  lua_pushboolean(L, same(dr__target_check(L, 1), dr__target_check(L, 2)));
  return 1;
}

static const luaL_Reg functions[] = {{"same", l_same}, {NULL, NULL}};

const dr_binding dr__binding_group = {
    .name = "group", .functions = functions, .lua = &dr__lua_group, .gives = "hosts dr.group"};
