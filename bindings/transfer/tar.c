/* tar.c - writes POSIX tar (ustar, with pax headers where a name or a number does not fit) entry by
 * entry, while somebody reads. Called by sync_op.c; read on the transport's thread. */
#include "tar.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_SIZE = 100, RECORD = 20 * DR_TAR_BLOCK };

/* The header of POSIX.1-1988; numbers are octal text. */
typedef struct header {
  char name[NAME_SIZE], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type,
      link[NAME_SIZE], magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155],
      rest[12];
} header;

typedef struct item {
  char *path;   /* in the archive */
  char *source; /* below the root; NULL: text or link */
  char *text;   /* or what a link says */
  char type;
  unsigned mode;
  int64_t offset; /* where in the source it begins */
  int64_t size;
} item;

struct dr_tar {
  char *root;
  item *items;
  size_t count, room, next;
  dr_text head; /* bytes to be given before the content */
  size_t head_at;
  int fd; /* of the content, or -1 */
  int64_t left, at;
  size_t padding;
  uint64_t given, length;
};

/* ------------------------------------------------------------ headers */

static void put_octal(char *field, size_t size, uint64_t value) {
  for (size_t i = size - 1; i-- > 0; value >>= 3) field[i] = (char)('0' + (value & 7));
  field[size - 1] = '\0';
}

static void put_header(dr_text *out, const char *name, char flag, unsigned mode, uint64_t size,
                       const char *link) {
  header h = {.type = flag, .magic = "ustar", .version = {'0', '0'}};
  unsigned sum = 0;
  size_t length = strlen(name), link_length = link ? strlen(link) : 0;
  memcpy(h.name, name, length < NAME_SIZE ? length : NAME_SIZE);
  if (link) memcpy(h.link, link, link_length < NAME_SIZE ? link_length : NAME_SIZE);
  put_octal(h.mode, sizeof h.mode, mode);
  put_octal(h.uid, sizeof h.uid, 0);
  put_octal(h.gid, sizeof h.gid, 0);
  put_octal(h.size, sizeof h.size, size);
  put_octal(h.mtime, sizeof h.mtime, 0);
  memset(h.checksum, ' ', sizeof h.checksum);
  for (size_t i = 0; i < sizeof h; i++) sum += ((const unsigned char *)&h)[i];
  put_octal(h.checksum, 7, sum);
  dr__text_add(out, (const char *)&h, sizeof h);
}

/* Adds "27 path=…\n", whose number counts the whole line, itself included. */
static void put_pax(dr_text *out, const char *key, const char *value) {
  size_t rest = strlen(key) + strlen(value) + 3, length = rest, digits = 1;
  while (length != rest + digits) {
    length = rest + digits;
    digits = (size_t)snprintf(NULL, 0, "%zu", length);
  }
  dr__text_printf(out, "%zu %s=%s\n", length, key, value);
}

static void pad(dr_text *out) {
  static const char zeros[DR_TAR_BLOCK];
  size_t over = out->length % DR_TAR_BLOCK;
  if (over > 0) dr__text_add(out, zeros, DR_TAR_BLOCK - over);
}

bool dr__tar_header(dr_text *out, const char *path, char type, unsigned mode, int64_t size,
                    const char *link) {
  dr_text pax = {0};
  char number[24];
  if (strlen(path) > NAME_SIZE) put_pax(&pax, "path", path);
  if (link && strlen(link) > NAME_SIZE) put_pax(&pax, "linkpath", link);
  bool large = (uint64_t)size >= (uint64_t)1 << 33;
  snprintf(number, sizeof number, "%lld", (long long)size);
  if (large) put_pax(&pax, "size", number);
  if (pax.length > 0) {
    put_header(out, "pax", 'x', 0644, pax.length, NULL);
    dr__text_add(out, pax.bytes, pax.length);
    pad(out);
  }
  bool failed = pax.failed;
  dr__text_free(&pax);
  put_header(out, path, type == 'l' ? '2' : '0', mode, large ? 0 : (uint64_t)size, link);
  return !failed && !out->failed;
}

/* ------------------------------------------------------------ the list */

dr_tar *dr__tar_new(const char *root) {
  dr_tar *tar = calloc(1, sizeof *tar);
  if (!tar) return NULL;
  tar->fd = -1;
  tar->root = strdup(root);
  if (tar->root) return tar;
  free(tar);
  return NULL;
}

void dr__tar_free(void *data) {
  dr_tar *tar = data;
  if (!tar) return;
  for (size_t i = 0; i < tar->count; i++) {
    free(tar->items[i].path);
    free(tar->items[i].source);
    free(tar->items[i].text);
  }
  if (tar->fd >= 0) close(tar->fd);
  dr__text_free(&tar->head);
  free(tar->items);
  free(tar->root);
  free(tar);
}

/* A new item with its path; NULL when memory is short. */
static item *add(dr_tar *tar, const char *path) {
  if (tar->count == tar->room) {
    size_t room = tar->room ? tar->room * 2 : 32;
    item *items = realloc(tar->items, room * sizeof *items);
    if (!items) return NULL;
    tar->items = items;
    tar->room = room;
  }
  item *i = &tar->items[tar->count];
  *i = (item){.path = strdup(path), .type = 'f', .mode = 0600};
  if (!i->path) return NULL;
  tar->count++;
  return i;
}

bool dr__tar_add_text(dr_tar *tar, const char *path, const char *text, size_t length) {
  item *i = add(tar, path);
  if (!i || !(i->text = malloc(length + 1))) return false;
  if (length > 0) memcpy(i->text, text, length);
  i->size = (int64_t)length;
  return true;
}

bool dr__tar_add_file(dr_tar *tar, const char *path, const char *source, unsigned mode,
                      int64_t offset, int64_t size) {
  item *i = add(tar, path);
  if (!i || !(i->source = strdup(source))) return false;
  i->mode = mode;
  i->offset = offset;
  i->size = size;
  return true;
}

bool dr__tar_add_link(dr_tar *tar, const char *path, const char *link) {
  item *i = add(tar, path);
  if (!i || !(i->text = strdup(link))) return false;
  i->type = 'l';
  i->mode = 0777;
  return true;
}

static size_t padding_of(int64_t size) {
  return (size_t)((DR_TAR_BLOCK - size % DR_TAR_BLOCK) % DR_TAR_BLOCK);
}

static bool head_of(dr_text *out, const item *i) {
  return dr__tar_header(out, i->path, i->type, i->mode, i->size, i->type == 'l' ? i->text : NULL);
}

uint64_t dr__tar_length(dr_tar *tar) {
  if (tar->length > 0) return tar->length;
  uint64_t length = 2 * DR_TAR_BLOCK;
  for (size_t n = 0; n < tar->count; n++) {
    dr_text head = {0};
    head_of(&head, &tar->items[n]);
    length += head.length + (uint64_t)tar->items[n].size + padding_of(tar->items[n].size);
    dr__text_free(&head);
  }
  return tar->length = (length + RECORD - 1) / RECORD * RECORD;
}

/* ------------------------------------------------------------ the stream */

/* Begins the next entry. Returns 0 or an errno. */
static int begin(dr_tar *tar) {
  const item *i = &tar->items[tar->next++];
  tar->head.length = 0;
  tar->head_at = 0;
  if (!head_of(&tar->head, i)) return ENOMEM;
  tar->left = i->size;
  tar->at = 0;
  tar->padding = padding_of(i->size);
  if (!i->source) return 0;
  char *path = NULL;
  if (asprintf(&path, "%s/%s", tar->root, i->source) < 0) return ENOMEM;
  tar->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  int failed = tar->fd < 0 || lseek(tar->fd, i->offset, SEEK_SET) < 0 ? errno : 0;
  free(path);
  return failed == ENOENT || failed == ELOOP ? ESTALE : failed;
}

static long read_content(dr_tar *tar, char *buffer, size_t size) {
  const item *i = &tar->items[tar->next - 1];
  if ((int64_t)size > tar->left) size = (size_t)tar->left;
  ssize_t got = (ssize_t)size;
  if (i->source) {
    do got = read(tar->fd, buffer, size);
    while (got < 0 && errno == EINTR);
    if (got < 0) return -errno;
    if (got == 0) return -ESTALE;
  } else {
    memcpy(buffer, i->text + tar->at, size);
  }
  tar->left -= got;
  tar->at += got;
  if (tar->left == 0 && tar->fd >= 0) {
    close(tar->fd);
    tar->fd = -1;
  }
  return (long)got;
}

static long give_zeros(char *buffer, size_t size, uint64_t most) {
  if (size > most) size = (size_t)most;
  memset(buffer, 0, size);
  return (long)size;
}

/* One piece of what comes next. */
static long read_piece(dr_tar *tar, char *buffer, size_t size) {
  if (tar->head_at < tar->head.length) {
    size_t left = tar->head.length - tar->head_at;
    if (size > left) size = left;
    memcpy(buffer, tar->head.bytes + tar->head_at, size);
    tar->head_at += size;
    return (long)size;
  }
  if (tar->left > 0) return read_content(tar, buffer, size);
  if (tar->padding > 0) {
    long given = give_zeros(buffer, size, tar->padding);
    tar->padding -= (size_t)given;
    return given;
  }
  if (tar->next == tar->count) return give_zeros(buffer, size, dr__tar_length(tar) - tar->given);
  if (tar->fd >= 0) close(tar->fd); /* of an empty file */
  tar->fd = -1;
  int failed = begin(tar);
  return failed ? -failed : read_piece(tar, buffer, size);
}

long dr__tar_read(dr_tar *tar, char *buffer, size_t size) {
  size_t done = 0;
  while (done < size) {
    long got = read_piece(tar, buffer + done, size - done);
    if (got < 0) return got;
    if (got == 0) break;
    tar->given += (uint64_t)got;
    done += (size_t)got;
  }
  return (long)done;
}
