/* ui/text.c - cleaning, measuring, cutting and wrapping text (text.h). Pure; used by ui/ and cli/.
 */
#include "text.h"

#include <math.h>
#include <string.h>

#define RUNE_BAD 0xFFFDu

/* ------------------------------------------------------------ characters */

/* The length a first byte announces, and its payload; 0 when it cannot begin a character. */
static size_t utf8_lead(unsigned char byte, uint32_t *payload) {
  if (byte < 0x80) return *payload = byte, 1;
  if (byte >= 0xC2 && byte <= 0xDF) return *payload = byte & 0x1Fu, 2;
  if (byte >= 0xE0 && byte <= 0xEF) return *payload = byte & 0x0Fu, 3;
  if (byte >= 0xF0 && byte <= 0xF4) return *payload = byte & 0x07u, 4;
  return 0;
}

size_t ui_utf8_next(const char *text, size_t length, uint32_t *rune) {
  static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
  uint32_t value = 0;
  size_t size = utf8_lead((unsigned char)text[0], &value);
  *rune = RUNE_BAD;
  if (size == 0 || size > length) return 1;
  for (size_t i = 1; i < size; i++) {
    unsigned char byte = (unsigned char)text[i];
    if ((byte & 0xC0) != 0x80) return 1;
    value = (value << 6) | (byte & 0x3Fu);
  }
  if (value < least[size] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return 1;
  *rune = value;
  return size;
}

typedef struct rune_range {
  uint32_t first;
  uint32_t last;
} rune_range;

static bool in_ranges(uint32_t rune, const rune_range *ranges, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (rune < ranges[i].first) return false;
    if (rune <= ranges[i].last) return true;
  }
  return false;
}

/* Not wcwidth(): that knows nothing in the C locale, which is what a CI job or a container often
 * has. The ranges are the blocks of Unicode that matter in names and command output; a wrong guess
 * shifts a live line by a column. */
size_t ui_rune_width(uint32_t rune) {
  static const rune_range none[] = {
      {0x0300, 0x036F},   {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x0610, 0x061A}, {0x064B, 0x065F},
      {0x0900, 0x0902},   {0x093A, 0x093A}, {0x0E31, 0x0E31}, {0x0E34, 0x0E3A}, {0x0E47, 0x0E4E},
      {0x1AB0, 0x1AFF},   {0x1DC0, 0x1DFF}, {0x200B, 0x200F}, {0x2028, 0x202E}, {0x2060, 0x2064},
      {0x20D0, 0x20FF},   {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF}, {0x1F3FB, 0x1F3FF},
      {0xE0000, 0xE01EF},
  };
  static const rune_range wide[] = {
      {0x1100, 0x115F},   {0x231A, 0x231B},   {0x2329, 0x232A},   {0x23E9, 0x23EC},
      {0x25FD, 0x25FE},   {0x2614, 0x2615},   {0x26AA, 0x26AB},   {0x26BD, 0x26BE},
      {0x2705, 0x2705},   {0x270A, 0x270B},   {0x2728, 0x2728},   {0x274C, 0x274C},
      {0x2753, 0x2755},   {0x2757, 0x2757},   {0x2795, 0x2797},   {0x2B50, 0x2B50},
      {0x2E80, 0x303E},   {0x3041, 0x33FF},   {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},
      {0xA000, 0xA4CF},   {0xA960, 0xA97F},   {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},
      {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},   {0x1F300, 0x1F64F},
      {0x1F680, 0x1F6FF}, {0x1F900, 0x1FAFF}, {0x20000, 0x3FFFD},
  };
  if (rune < 0x300) return 1;
  if (in_ranges(rune, none, sizeof none / sizeof *none)) return 0;
  return in_ranges(rune, wide, sizeof wide / sizeof *wide) ? 2 : 1;
}

size_t ui_text_width(const char *text) {
  size_t width = 0;
  size_t length = strlen(text);
  for (size_t i = 0; i < length;) {
    uint32_t rune;
    i += ui_utf8_next(text + i, length - i, &rune);
    width += ui_rune_width(rune);
  }
  return width;
}

/* ------------------------------------------------------------ cleaning */

/* The bytes of an escape sequence that begins at text[0] == ESC: CSI up to its final byte, OSC and
 * the like up to BEL or ESC \, anything else two bytes. */
static size_t escape_length(const char *text, size_t length) {
  if (length < 2) return length;
  if (text[1] == '[') {
    size_t i = 2;
    while (i < length && !((unsigned char)text[i] >= 0x40 && (unsigned char)text[i] <= 0x7E)) i++;
    return i < length ? i + 1 : length;
  }
  if (strchr("]PX^_", text[1]) != NULL) {
    for (size_t i = 2; i < length; i++) {
      if (text[i] == '\a') return i + 1;
      if (text[i] == '\033') return i + 1 < length && text[i + 1] == '\\' ? i + 2 : i;
    }
    return length;
  }
  return 2;
}

/* Where the last drawing of a line begins that was redrawn with carriage returns. */
static size_t last_drawing(const char *text, size_t length) {
  size_t end = length;
  while (end > 0 && (text[end - 1] == '\r' || text[end - 1] == '\n')) end--;
  while (end > 0 && text[end - 1] != '\r') end--;
  return end;
}

static bool is_control(uint32_t rune) {
  return rune < 0x20 || (rune >= 0x7F && rune < 0xA0);
}

/* Characters that turn the direction of text: what is read would not be what is there. */
static bool is_turning(uint32_t rune) {
  return (rune >= 0x202A && rune <= 0x202E) || (rune >= 0x2066 && rune <= 0x2069);
}

static void add_rune_clean(ui_buf *out, uint32_t rune, const char *bytes, size_t size) {
  if (rune == RUNE_BAD) {
    ui_buf_add(out, "\xEF\xBF\xBD");
  } else if (rune == '\t' || rune == '\n') {
    ui_buf_add(out, " ");
  } else if (!is_control(rune) && !is_turning(rune)) {
    ui_buf_add_bytes(out, bytes, size);
  }
}

void ui_add_clean_bytes(ui_buf *out, const char *text, size_t length) {
  while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r')) length--;
  for (size_t i = last_drawing(text, length); i < length;) {
    if (text[i] == '\033') {
      i += escape_length(text + i, length - i);
      continue;
    }
    uint32_t rune;
    size_t size = ui_utf8_next(text + i, length - i, &rune);
    add_rune_clean(out, rune, text + i, size);
    i += size;
  }
}

void ui_add_clean(ui_buf *out, const char *text) {
  ui_add_clean_bytes(out, text, strlen(text));
}

void ui_add_spelled_bytes(ui_buf *out, const char *text, size_t length) {
  for (size_t i = 0; i < length;) {
    uint32_t rune;
    size_t size = ui_utf8_next(text + i, length - i, &rune);
    bool invisible =
        rune >= 0x200B && ui_rune_width(rune) == 0 && !(rune >= 0x20D0 && rune <= 0x20FF);
    if (rune == '\t') {
      ui_buf_add(out, "    ");
    } else if (rune < 0x20 || rune == 0x7F || (rune == RUNE_BAD && size == 1)) {
      ui_buf_printf(out, "\\x%02x", (unsigned)(unsigned char)text[i]);
    } else if (is_control(rune) || is_turning(rune) || invisible) {
      ui_buf_printf(out, "\\u%04x", (unsigned)rune);
    } else {
      ui_buf_add_bytes(out, text + i, size);
    }
    i += size;
  }
}

/* ------------------------------------------------------------ cutting and wrapping */

/* How many bytes of the text fit into `width` columns. */
static size_t fitting(const char *text, size_t length, size_t width) {
  size_t used = 0;
  size_t i = 0;
  while (i < length) {
    uint32_t rune;
    size_t size = ui_utf8_next(text + i, length - i, &rune);
    used += ui_rune_width(rune);
    if (used > width) break;
    i += size;
  }
  return i;
}

void ui_add_cut(ui_buf *out, const char *text, size_t width, const char *mark) {
  if (ui_text_width(text) <= width) {
    ui_buf_add(out, text);
    return;
  }
  size_t tail = ui_text_width(mark);
  if (tail > width) return;
  ui_buf_add_bytes(out, text, fitting(text, strlen(text), width - tail));
  ui_buf_add(out, mark);
}

void ui_add_padded(ui_buf *out, const char *text, size_t width) {
  size_t used = ui_text_width(text);
  ui_buf_add(out, text);
  if (used < width) ui_buf_fill(out, ' ', width - used);
}

/* Where to break a line that does not fit: after `fit` bytes, or at the last single space before.
 * *skip is the space that the line end stands for. Runs of spaces are not broken: they may be part
 * of a quoted argument. */
static size_t break_at(const char *line, size_t fit, size_t *skip) {
  *skip = 0;
  for (size_t i = line[fit] == ' ' ? fit : fit - 1; i > 0; i--) {
    if (line[i] == ' ' && line[i - 1] != ' ' && line[i + 1] != ' ' && line[i + 1] != '\0') {
      *skip = 1;
      return i;
    }
  }
  return fit;
}

enum { LEAST_ROOM = 12 }; /* columns that text gets at least, however narrow the terminal */

static void new_line(ui_buf *out, const ui_block *block, size_t more, bool empty) {
  ui_buf_add(out, "\n");
  if (empty && block->bar == NULL) return;
  ui_buf_fill(out, ' ', block->indent);
  if (block->bar != NULL) ui_buf_add(out, block->bar);
  ui_buf_fill(out, ' ', more);
}

/* The columns that the last line of `out` takes; styles take none. */
static size_t column_of(const ui_buf *out) {
  const char *text = ui_buf_text(out);
  const char *end = strrchr(text, '\n');
  ui_buf line = UI_BUF_INIT;
  ui_add_clean(&line, end != NULL ? end + 1 : text);
  size_t column = ui_text_width(ui_buf_text(&line));
  ui_buf_free(&line);
  return column;
}

static size_t room_after(const ui_block *block, size_t used) {
  return block->width > used + LEAST_ROOM ? block->width - used : LEAST_ROOM;
}

static void drop_spaces(ui_buf *out) {
  while (out->length > 0 && out->text[out->length - 1] == ' ') out->text[--out->length] = '\0';
}

static void wrap_line(ui_buf *out, const char *line, const ui_block *block) {
  size_t bar = block->bar != NULL ? ui_text_width(block->bar) : 0;
  size_t hang = block->spelled ? 2 : 0;
  size_t length = strlen(line);
  size_t column = block->width > 0 ? column_of(out) : 0;
  size_t most = block->width > LEAST_ROOM ? block->width - LEAST_ROOM : 0;
  if (column > most && column > block->indent + bar &&
      column + ui_text_width(line) > block->width) {
    drop_spaces(out); /* hardly a word would stand behind what is there */
    new_line(out, block, 0, false);
    while (*line == ' ') line++, length--;
    column = block->indent + bar;
  }
  size_t room = block->width > 0 ? room_after(block, column) : 0;
  while (block->width != 0) {
    size_t fit = fitting(line, length, room);
    if (fit == length || fit == 0) break;
    size_t skip;
    size_t cut = break_at(line, fit, &skip);
    ui_buf_add_bytes(out, line, cut);
    new_line(out, block, hang, false);
    line += cut + skip;
    length -= cut + skip;
    room = room_after(block, block->indent + bar + hang);
  }
  ui_buf_add(out, line);
}

void ui_add_block(ui_buf *out, const char *text, const ui_block *block) {
  ui_buf line = UI_BUF_INIT;
  for (bool first = true; first || *text != '\0'; first = false) {
    size_t length = strcspn(text, "\n");
    ui_buf_reset(&line);
    if (block->spelled) {
      ui_add_spelled_bytes(&line, text, length);
    } else {
      ui_add_clean_bytes(&line, text, length);
    }
    if (!first) new_line(out, block, 0, line.length == 0);
    wrap_line(out, ui_buf_text(&line), block);
    text += length;
    if (*text == '\n') text++;
  }
  ui_buf_free(&line);
}

void ui_add_behind(ui_buf *out, const char *text, const ui_block *block) {
  ui_buf plain = UI_BUF_INIT;
  ui_add_clean(&plain, text);
  size_t end = block->width > 0 ? column_of(out) + 2 + ui_text_width(ui_buf_text(&plain)) : 0;
  ui_buf_free(&plain);
  if (end > block->width) {
    ui_buf_add(out, "\n");
    ui_buf_fill(out, ' ', block->indent);
  } else {
    ui_buf_add(out, "  ");
  }
  ui_buf_add(out, text);
}

/* ------------------------------------------------------------ numbers */

void ui_add_seconds(ui_buf *out, double seconds) {
  if (!(seconds > 0)) seconds = 0;
  if (seconds < 59.95) {
    ui_buf_printf(out, "%.1f s", seconds);
    return;
  }
  long long whole = llround(seconds);
  if (whole < 3600) {
    ui_buf_printf(out, "%lld min %02lld s", whole / 60, whole % 60);
  } else {
    ui_buf_printf(out, "%lld h %02lld min", whole / 3600, whole % 3600 / 60);
  }
}

void ui_add_count(ui_buf *out, double count) {
  ui_buf digits = UI_BUF_INIT;
  ui_buf_printf(&digits, "%.0f", count);
  const char *text = ui_buf_text(&digits);
  size_t length = strlen(text);
  for (size_t i = 0; i < length; i++) {
    bool group = i > 0 && (length - i) % 3 == 0 && text[i - 1] != '-';
    if (group) ui_buf_add(out, ",");
    ui_buf_add_bytes(out, text + i, 1);
  }
  ui_buf_free(&digits);
}

void ui_add_counted(ui_buf *out, double count, const char *one, const char *many) {
  ui_add_count(out, count);
  ui_buf_printf(out, " %s", count == 1 ? one : many);
}
