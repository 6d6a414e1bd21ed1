/* embed.c - writes a file as C, for vendor/embed.cmake. A program of the build, not of the product.
 *
 *   embed NAME PATH INPUT OUTPUT
 *
 * OUTPUT defines `const dr_lua_source dr__lua_NAME`: the bytes of INPUT and, where PATH ends with
 * .lua, what the Lua that this program was linked with makes of them, so that a mistake in it ends
 * the build, and no start of deployrun compiles it. The code is for exactly that Lua, which is
 * named with it: any other one compiles the text (core/embedded.c). */
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <string.h>

enum { LARGEST = 4 << 20 };

static int fail(const char *what, const char *why) {
  fprintf(stderr, "embed: %s: %s\n", what, why);
  return 1;
}

/* The bytes of an array, sixteen a line. */
static int put_bytes(lua_State *L, const void *bytes, size_t size, void *data) {
  FILE *out = data;
  (void)L;
  for (size_t i = 0; i < size; i++)
    fprintf(out, "0x%02x,%s", ((const unsigned char *)bytes)[i], i % 16 == 15 ? "\n" : "");
  return 0;
}

/* An array `code` of what Lua makes of the text; false when it does not compile. */
static int put_code(const char *path, const char *text, size_t size, FILE *out) {
  char name[512];
  lua_State *L = luaL_newstate();
  if (!L) return fail(path, "out of memory");
  snprintf(name, sizeof name, "=deployrun/%s", path);
  int failed = luaL_loadbufferx(L, text, size, name, "t") != LUA_OK;
  fprintf(out, "static const unsigned char code[] = {\n");
  if (failed)
    fail("syntax", lua_tostring(L, -1));
  else
    failed = lua_dump(L, put_bytes, out, 0);
  fprintf(out, "};\n");
  lua_close(L);
  return failed;
}

static int put_source(const char *name, const char *path, const char *text, size_t size,
                      FILE *out) {
  const char *ending = strrchr(path, '.');
  int is_lua = ending && strcmp(ending, ".lua") == 0;
  fprintf(out, "/* Made from %s. */\n#include \"ops/binding.h\"\n\n", path);
  fprintf(out, "static const unsigned char text[] = {\n");
  put_bytes(NULL, text, size, out);
  fprintf(out, "0x00};\n");
  if (is_lua && put_code(path, text, size, out) != 0) return 1;
  fprintf(out, "\nextern const dr_lua_source dr__lua_%s;\nconst dr_lua_source dr__lua_%s = {", name,
          name);
  fprintf(out, "\"%s\", text, sizeof text - 1", path);
  if (is_lua)
    fprintf(out, ", code, sizeof code, \"%s\"};\n", lua_ident);
  else
    fprintf(out, ", NULL, 0, NULL};\n");
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 5) return fail("usage", "embed NAME PATH INPUT OUTPUT");
  static char text[LARGEST];
  FILE *in = fopen(argv[3], "rb"), *out = fopen(argv[4], "w");
  if (!in || !out) return fail(argv[3], "cannot be read, or the output not be written");
  size_t size = fread(text, 1, LARGEST, in);
  int failed = ferror(in) || size == LARGEST || put_source(argv[1], argv[2], text, size, out);
  fclose(in);
  failed = fclose(out) != 0 || failed;
  if (failed) remove(argv[4]);
  return failed;
}
