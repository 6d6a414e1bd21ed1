/* core/globals.c - the globals that a file of Lua names, read from what the compiler made of it: a
 * name that nobody gives is an error before anything runs, also where only an undo would come by.
 *
 * What is read is what lua_dump() writes (ldump.c of Lua 5.4, the same in all its versions; of
 * another one nothing is read). In it a global is a field of the chunk's only upvalue, _ENV, which
 * functions hand down to those inside them. A file that gives itself another _ENV is left alone;
 * what is past the 255th constant of a function is found by the access itself, as ever. Called by
 * sandbox.c on the runtime's thread. */
#include "core/runtime.h"

#include <limits.h>
#include <string.h>

/* ------------------------------------------------------------ reading */

typedef struct dump {
  const unsigned char *at, *end;
  bool broken;
  bool replaced; /* something is assigned to _ENV itself */
  lua_State *L;  /* at 1 the globals that there are */
  dr_global *first;
} dump;

/* So many bytes, or NULL when there are not. */
static const unsigned char *take(dump *d, size_t size) {
  d->broken = d->broken || size > (size_t)(d->end - d->at);
  if (d->broken) return NULL;
  d->at += size;
  return d->at - size;
}

static unsigned take_byte(dump *d) {
  const unsigned char *byte = take(d, 1);
  return byte ? *byte : 0;
}

/* Seven bits a byte, the highest first; the last byte has its eighth bit set. */
static size_t take_size(dump *d) {
  size_t value = 0;
  unsigned byte = 0;
  while (!d->broken && !(byte & 0x80)) {
    byte = take_byte(d);
    value = value << 7 | (byte & 0x7f);
  }
  return d->broken ? 0 : value;
}

/* A text, without an end of its own; NULL when there is none. */
static const char *take_text(dump *d, size_t *length) {
  size_t size = take_size(d);
  *length = size > 0 ? size - 1 : 0;
  return size > 0 ? (const char *)take(d, *length) : NULL;
}

static void skip_text(dump *d) {
  size_t length;
  (void)take_text(d, &length);
}

/* A constant: its text, or NULL when it is something else. */
static const char *take_constant(dump *d, size_t *length) {
  enum { INTEGER = 0x03, FLOAT = 0x13, SHORT_TEXT = 0x04, LONG_TEXT = 0x14 };
  unsigned type = take_byte(d);
  if (type == SHORT_TEXT || type == LONG_TEXT) return take_text(d, length);
  if (type == INTEGER) (void)take(d, sizeof(lua_Integer));
  if (type == FLOAT) (void)take(d, sizeof(lua_Number));
  return NULL;
}

/* ------------------------------------------------------------ a function */

typedef struct function {
  size_t line; /* where it begins */
  const unsigned char *code;
  size_t count;
  dump constants;
  bool env[UCHAR_MAX + 1]; /* whether an upvalue is the chunk's _ENV */
  const signed char *lines;
  dump bases;
} function;

static const char *constant_at(const function *f, unsigned index, size_t *length) {
  dump d = f->constants;
  const char *text = NULL;
  for (size_t i = 0, count = take_size(&d); i < count && i <= index; i++)
    text = take_constant(&d, length);
  return text;
}

/* As luaG_getfuncline(): every line is said by its distance from the one before, but for some that
 * are said whole. */
static size_t line_of(const function *f, size_t instruction) {
  dump d = f->bases;
  size_t line = f->line, next = 0;
  for (size_t i = 0, count = take_size(&d); i < count; i++) {
    size_t at = take_size(&d), whole = take_size(&d);
    if (at > instruction) break;
    line = whole;
    next = at + 1;
  }
  for (; next <= instruction; next++) line += (size_t)f->lines[next];
  return line;
}

static bool is_known(const dump *d, const char *name, size_t length) {
  lua_pushlstring(d->L, name, length);
  bool known = lua_rawget(d->L, 1) != LUA_TNIL || dr__part_gives(name, length);
  lua_pop(d->L, 1);
  return known;
}

/* Looks at an instruction of a function; what names an unknown global above all others is kept. */
static void look_at(dump *d, const function *f, size_t number) {
  enum { SET_UPVALUE = 10, GET_FIELD = 11, SET_FIELD = 15 }; /* OP_SETUPVAL, OP_GETTABUP, … */
  const unsigned char *bytes = f->code + 4 * number;
  uint32_t word;
  memcpy(&word, bytes, sizeof word);
  unsigned op = word & 0x7f, a = word >> 7 & 0xff, b = word >> 16 & 0xff, c = word >> 24;
  if (op == SET_UPVALUE && f->env[b]) d->replaced = true;
  bool gets = op == GET_FIELD && f->env[b], sets = op == SET_FIELD && f->env[a];
  if (!gets && !sets) return;
  size_t length, line = line_of(f, number);
  const char *name = constant_at(f, gets ? c : b, &length);
  if (!name || (d->first->name && d->first->line <= line) || (gets && is_known(d, name, length)))
    return;
  *d->first = (dr_global){.name = name, .length = length, .line = line, .assigned = sets};
}

/* outer: the function around it, or NULL. */
static void take_function(dump *d, const function *outer) {
  function f = {0};
  skip_text(d);
  f.line = take_size(d);
  (void)take_size(d);
  (void)take(d, 3);
  f.count = take_size(d);
  f.code = take(d, f.count > SIZE_MAX / 4 ? SIZE_MAX : 4 * f.count);
  f.constants = *d;
  size_t length;
  for (size_t left = take_size(d); left > 0 && !d->broken; left--) (void)take_constant(d, &length);
  size_t upvalues = take_size(d);
  for (size_t i = 0; i < upvalues && !d->broken; i++) {
    const unsigned char *parts = take(d, 3); /* in the stack of the outer one, which, kind */
    if (parts && i <= UCHAR_MAX) f.env[i] = outer ? !parts[0] && outer->env[parts[1]] : i == 0;
  }
  for (size_t left = take_size(d); left > 0 && !d->broken; left--) take_function(d, &f);
  size_t lines = take_size(d);
  f.lines = (const signed char *)take(d, lines);
  f.bases = *d;
  for (size_t left = take_size(d); left > 0 && !d->broken; left--) {
    (void)take_size(d);
    (void)take_size(d);
  }
  for (size_t left = take_size(d); left > 0 && !d->broken; left--) { /* local variables */
    skip_text(d);
    (void)take_size(d);
    (void)take_size(d);
  }
  for (size_t left = take_size(d); left > 0 && !d->broken; left--) skip_text(d); /* upvalues */
  d->broken = d->broken || lines != f.count;
  for (size_t i = 0; i < f.count && !d->broken; i++) look_at(d, &f, i);
}

/* ------------------------------------------------------------ a chunk */

/* The buffer begins with the first piece: lua_dump() wants the function on top of the stack. */
typedef struct writer {
  luaL_Buffer buffer;
  bool begun;
} writer;

static int on_piece(lua_State *L, const void *piece, size_t size, void *data) {
  writer *w = data;
  if (!w->begun) luaL_buffinit(L, &w->buffer);
  w->begun = true;
  luaL_addlstring(&w->buffer, piece, size);
  return 0;
}

/* The header of Lua 5.4's dumps with the numbers of this machine. */
static bool take_header(dump *d) {
  static const unsigned char expected[] = {0x1b,
                                           'L',
                                           'u',
                                           'a',
                                           0x54,
                                           0,
                                           0x19,
                                           0x93,
                                           '\r',
                                           '\n',
                                           0x1a,
                                           '\n',
                                           4,
                                           sizeof(lua_Integer),
                                           sizeof(lua_Number)};
  const lua_Integer integer = 0x5678;
  const unsigned char *start = take(d, sizeof expected);
  const unsigned char *number = take(d, sizeof integer);
  return take(d, sizeof(lua_Number)) && memcmp(start, expected, sizeof expected) == 0 &&
         memcmp(number, &integer, sizeof integer) == 0;
}

bool dr__globals_unknown(lua_State *L, dr_global *first) {
  writer w = {.begun = false};
  *first = (dr_global){0};
  if (lua_dump(L, on_piece, &w, 0) != 0 || !w.begun) return false;
  luaL_pushresult(&w.buffer);
  size_t length;
  const char *bytes = lua_tolstring(L, -1, &length);
  dump d = {.at = (const unsigned char *)bytes, .first = first, .L = L};
  d.end = d.at + length;
  if (!take_header(&d)) return false;
  (void)take_byte(&d); /* how many upvalues */
  take_function(&d, NULL);
  return !d.broken && !d.replaced && first->name;
}
