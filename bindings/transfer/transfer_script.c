/* transfer_script.c - the shell texts that move one file on the target's side, and reading their
 * answers. Pure C, any thread. Used by transfer_upload.c and transfer_download.c.
 *
 * The new file grows as .NAME.deployrun-HASH.part beside its destination, readable by its owner
 * alone. HASH is the beginning of its SHA-256, so that a later run finds only what it can go on
 * with. It is moved over the destination when all of it has arrived, its hash is right, its mode
 * and owner are set, and it is on the disk. POSIX sh; the programs are those of coreutils or
 * busybox.
 *
 * Only one writes to that file: who has a lock on it, which goes with the last process that has it
 * open. Another upload of the same file at the same time, or one whose predecessor hangs in a
 * connection that went dark, goes on with a copy of what is there. Where there is no flock, each
 * has a copy.
 */
#include "transfer.h"

#include "core/err.h"

#include <stdlib.h>
#include <string.h>

/* Sets d, n and t for f, which a symbolic link is replaced by what it points to. $h12 is set
 * before. Command substitution would drop line ends at the end of a name. */
#define PLACES                                                                                     \
  "LC_ALL=C; export LC_ALL; umask 077\n"                                                           \
  "if [ -L \"$f\" ]; then f=$(readlink -f -- \"$f\" && echo x) || exit 24; f=${f%?x}; fi\n"        \
  "case $f in */*) d=${f%/*}; d=${d:-/}; n=${f##*/} ;; *) d=.; n=$f ;; esac\n"                     \
  "case $d in -*) d=./$d ;; esac\n"                                                                \
  "t=$d/.$(printf %.200s \"$n\").deployrun-$h12.part\n"

/* Sets m, i and o to mode, numbers and names of f. */
#define OWNER                                                                                      \
  "s=$(stat -c '%a %u:%g %U:%G' -- \"$f\") || exit 23\n"                                           \
  "m=${s%% *}; s=${s#* }; i=${s%% *}; o=${s#* }\n"

/* $1 size, $2 beginning of the hash, $3 "yes": missing folders will be made, $4 owner or "". p is
 * the folder that there is. The old file is hashed only when its size is right. A file that is to
 * be replaced keeps its owner: where this user cannot do that, nothing is sent. */
const char dr__transfer_probe[] =
    "size=$1; h12=$2; parents=$3; owner=$4; o=; h=\n" DR_TRANSFER_SUM DR_TRANSFER_MAY_OWN PLACES
    "[ -n \"$n\" ] && [ ! -d \"$f\" ] || exit 21\n"
    "p=$d\n"
    "while [ ! -d \"$p\" ]; do\n"
    "  [ \"$parents\" = yes ] || exit 22\n"
    "  [ ! -e \"$p\" ] || exit 22\n"
    "  case $p in */*) p=${p%/*}; p=${p:-/} ;; *) p=. ;; esac\n"
    "done\n"
    "[ -w \"$p\" ] && [ -x \"$p\" ] || exit 23\n"
    "if [ -f \"$f\" ]; then\n"
    "  " OWNER "  s=$(wc -c <\"$f\" 2>/dev/null) || s=-1\n"
    "  owner=${owner:-$i}\n"
    "  if [ \"$s\" -eq \"$size\" ]; then sum \"$f\" || exit 31; fi\n"
    "  echo \"found $m $i $s $o\"\n"
    "  echo \"hash $h\"\n"
    "elif [ -e \"$f\" ]; then exit 24; fi\n"
    "case $h in\n"
    "  \"$h12\"*) ;;\n"
    "  *) [ -z \"$owner\" ] || may_own \"$owner\" \"$p\" || {\n"
    "    [ -z \"$o\" ] || echo \"the old file belongs to $o\" >&2\n"
    "    exit 30\n"
    "  } ;;\n"
    "esac\n"
    "if [ -f \"$t\" ] && [ ! -L \"$t\" ]; then echo \"partial $(wc -c <\"$t\")\"; fi\n"
    "set -- $(cd \"$p\" && df -Pk . 2>/dev/null | tail -n 1)\n"
    "echo \"available ${4:-}\"\n"
    "echo end\n";

/* t is the partial file that is written to, t0 the one that is gone on with. */
#define HOLD                                                                                       \
  "command -v flock >/dev/null 2>&1 && locks=yes || locks=\n"                                      \
  "t0=$t\n"                                                                                        \
  "unheld() { [ -z \"$locks\" ] || (flock -n 8) 8>>\"$1\"; }\n" /* of a file that there is */      \
  "clear() {\n"                                                                                    \
  "  find \"$d\" -maxdepth 1 -name '.*.deployrun-????????????.part*' -mmin +1440 -exec rm -f {} +" \
  " 2>/dev/null\n"                                                                                 \
  "  [ -n \"$locks\" ] || return 0\n"                                                              \
  "  for q in \"$d/.$(printf %.200s \"$n\").deployrun-\"????????????.part*; do\n"                  \
  "    [ -f \"$q\" ] && [ ! -L \"$q\" ] && [ -w \"$q\" ] && unheld \"$q\" && rm -f -- \"$q\"\n"    \
  "  done\n"                                                                                       \
  "  return 0\n"                                                                                   \
  "}\n"                                                                                            \
  "is_that() {\n" /* what is locked is still what has the name */                                  \
  "  q=$(stat -L -c %d:%i \"/proc/$$/fd/9\" 2>/dev/null) || return 0\n"                            \
  "  [ \"$q\" = \"$(stat -c %d:%i -- \"$t\" 2>/dev/null)\" ]\n"                                    \
  "}\n"                                                                                            \
  "full() { case $e in *'No space'* | *quota*) rm -f -- \"$t\"; exit 25 ;; esac; }\n"              \
  "copy() {\n"                                                                                     \
  "  t=$(mktemp \"$t0.XXXXXX\") || exit 23\n"                                                      \
  "  exec 9>>\"$t\"\n"                                                                             \
  "  [ -z \"$locks\" ] || flock -n 9\n"                                                            \
  "  [ \"$have\" -gt 0 ] || return 0\n"                                                            \
  "  e=$(head -c \"$have\" <\"$t0\" 2>&1 >\"$t\") && [ \"$(wc -c <\"$t\")\" -eq \"$have\" ]"       \
  " || { full; rm -f -- \"$t\"; exit 29; }\n"                                                      \
  "}\n"                                                                                            \
  "keep() {\n" /* what has arrived, for the next run */                                            \
  "  [ \"$t\" != \"$t0\" ] || return 0\n"                                                          \
  "  if [ -f \"$t0\" ] && ! unheld \"$t0\"; then rm -f -- \"$t\"; else mv -f -- \"$t\" \"$t0\"; "  \
  "fi\n"                                                                                           \
  "}\n"

/* $1 size, $2 beginning of the hash, $3 hash, $4 bytes that are there already, $5 mode or "", $6
 * owner or "", $7 mode when there is no old file, $8 "yes": make missing folders. Standard input:
 * the rest of the file.
 *
 * A full disk must not stay full of what cannot be used; what was cut off is kept, to be gone on
 * with. */
const char dr__transfer_store[] =
    "size=$1; h12=$2; hash=$3; have=$4; mode=$5; owner=$6; fresh=$7; parents=$8\n" DR_TRANSFER_SUM
        PLACES HOLD "if [ ! -d \"$d\" ]; then\n"
    "  [ \"$parents\" = yes ] && (umask 022; mkdir -p -- \"$d\") || exit 22\n"
    "fi\n"
    "[ \"$have\" -gt 0 ] || clear\n"
    "if [ \"$have\" -gt 0 ] || [ -e \"$t\" ]; then\n"
    "  [ -f \"$t\" ] && [ ! -L \"$t\" ] && [ \"$(wc -c <\"$t\")\" -ge \"$have\" ] || exit 29\n"
    "fi\n"
    "if [ -z \"$locks\" ]; then copy; else\n"
    "  [ -e \"$t\" ] || (set -C; : >\"$t\") 2>/dev/null || [ -f \"$t\" ] || exit 23\n"
    "  [ -w \"$t\" ] || exit 23\n"
    "  exec 9>>\"$t\"\n"
    "  if flock -n 9; then\n"
    "    is_that && [ \"$(wc -c <\"$t\")\" -eq \"$have\" ] || exit 29\n"
    "  else copy; fi\n"
    "fi\n"
    "trap '' PIPE\n" /* what arrived is kept though nobody hears what went wrong */
    "e=$(cat 2>&1 >>\"$t\") || {\n"
    "  echo \"$e\" >&2\n"
    "  full; keep; exit 26\n"
    "}\n"
    "[ -f \"$t\" ] || exit 29\n"
    "[ \"$(wc -c <\"$t\")\" -ge \"$size\" ] || { keep; exit 27; }\n"
    "sum \"$t\" || exit 31\n"
    "if [ \"$h\" != \"$hash\" ]; then\n"
    "  rm -f -- \"$t\"\n"
    "  [ ! -f \"$t0\" ] || ! unheld \"$t0\" || rm -f -- \"$t0\"\n"
    "  exit 28\n"
    "fi\n"
    "if [ -e \"$f\" ]; then\n"
    "  " OWNER "  mode=${mode:-$m}; owner=${owner:-$i}\n"
    "fi\n"
    "if [ -n \"$owner\" ] && [ \"$owner\" != \"$(stat -c %u:%g -- \"$t\")\" ]; then\n"
    "  chown -- \"$owner\" \"$t\" || { rm -f -- \"$t\"; exit 30; }\n"
    "fi\n"
    "chmod \"${mode:-$fresh}\" \"$t\" || { rm -f -- \"$t\"; exit 30; }\n"
    "touch -- \"$t\"\n"
    "sync \"$t\" 2>/dev/null || sync\n"
    "[ ! -d \"$f\" ] || exit 21\n"
    "mv -f -- \"$t\" \"$f\" || exit 23\n"
    "sync \"$d\" 2>/dev/null || sync\n"
    "[ -n \"$locks\" ] || rm -f -- \"$t0\"\n"
    "clear\n"
    "exit 0\n";

/* $1 mode or "", $2 owner or "". */
const char dr__transfer_adjust[] = "[ -z \"$2\" ] || chown -- \"$2\" \"$f\" || exit 30\n"
                                   "[ -z \"$1\" ] || chmod -- \"$1\" \"$f\" || exit 30\n"
                                   "exit 0\n";

/* Size, hash and mode of a file that is to be downloaded. */
const char dr__transfer_facts[] =
    "LC_ALL=C; export LC_ALL\n" DR_TRANSFER_SUM "[ ! -d \"$f\" ] || exit 21\n"
    "[ -e \"$f\" ] || exit 32\n"
    "[ -f \"$f\" ] || exit 24\n"
    "[ -r \"$f\" ] || exit 23\n"
    "f=$(readlink -f -- \"$f\" && echo x) || exit 32; f=${f%?x}\n" OWNER
    "s=$(wc -c <\"$f\") || exit 23\n"
    "sum \"$f\" || exit 31\n"
    "echo \"found $m $i $s $o\"\n"
    "echo \"hash $h\"\n"
    "echo end\n";

/* $1 size, $2 bytes that are there already: writes the rest. A file that grows meanwhile is cut
 * where it was hashed. */
const char dr__transfer_give[] = "case $f in -*) f=./$f ;; esac\n"
                                 "if [ \"$2\" -eq 0 ]; then exec head -c \"$1\" \"$f\"; fi\n"
                                 "tail -c \"+$(($2 + 1))\" \"$f\" | head -c \"$(($1 - $2))\"\n";

/* The rest of a line that begins with the key and a space, in buffer; false when the line begins
 * otherwise or the rest is too long. */
static bool take(const char *line, const char *key, char *buffer, size_t size) {
  size_t length = strlen(key);
  if (strncmp(line, key, length) != 0 || line[length] != ' ') return false;
  line += length + 1;
  size_t rest = strcspn(line, "\n");
  if (rest >= size) return false;
  memcpy(buffer, line, rest);
  buffer[rest] = '\0';
  return true;
}

/* The next word of *at, in buffer; false when there is none or it is too long. */
static bool word(const char **at, char *buffer, size_t size) {
  *at += strspn(*at, " ");
  size_t length = strcspn(*at, " ");
  if (length == 0 || length >= size) return false;
  memcpy(buffer, *at, length);
  buffer[length] = '\0';
  *at += length;
  return true;
}

/* The rest of *at: a group may have a space in its name. */
static bool rest_of(const char **at, char *buffer, size_t size) {
  *at += strspn(*at, " ");
  dr__copy_text(buffer, size, *at);
  return **at != '\0' && strlen(*at) < size;
}

static bool number(const char *text, int64_t *out) {
  char *end;
  if (*text < '0' || *text > '9') return false;
  long long value = strtoll(text, &end, 10);
  *out = value;
  return *end == '\0' || *end == ' ';
}

static bool is_hash(const char *text) {
  return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

static bool read_found(const char *rest, dr_transfer_facts *facts) {
  char size[24];
  const char *at = rest;
  facts->found = true;
  return word(&at, facts->mode, sizeof facts->mode) && word(&at, facts->ids, sizeof facts->ids) &&
         word(&at, size, sizeof size) && (number(size, &facts->size) || strcmp(size, "-1") == 0) &&
         rest_of(&at, facts->owner, sizeof facts->owner) &&
         strspn(facts->mode, "01234567") == strlen(facts->mode);
}

bool dr__transfer_read_facts(const char *text, dr_transfer_facts *facts) {
  char rest[512];
  int64_t kilobytes;
  *facts = (dr_transfer_facts){.available = -1, .size = -1};
  for (const char *line = text; *line != '\0';) {
    if (strncmp(line, "end\n", 4) == 0) return true;
    if (take(line, "found", rest, sizeof rest)) {
      if (!read_found(rest, facts)) return false;
    } else if (take(line, "hash", rest, sizeof rest)) {
      if (is_hash(rest)) dr__copy_text(facts->sha256, sizeof facts->sha256, rest);
    } else if (take(line, "partial", rest, sizeof rest)) {
      if (!number(rest + strspn(rest, " "), &facts->partial)) return false;
    } else if (take(line, "available", rest, sizeof rest)) {
      if (number(rest, &kilobytes) && kilobytes < INT64_MAX / 1024)
        facts->available = kilobytes * 1024;
    } else {
      return false;
    }
    line += strcspn(line, "\n");
    line += *line == '\n';
  }
  return false;
}

/* True when `wanted` (up to `length` bytes) is one of the two. */
static bool is_one(const char *wanted, size_t length, const char *a, size_t a_length, const char *b,
                   size_t b_length) {
  return (length == a_length && strncmp(wanted, a, length) == 0) ||
         (length == b_length && strncmp(wanted, b, length) == 0);
}

bool dr__transfer_owned(const dr_transfer_facts *facts, const char *wanted) {
  size_t user = strcspn(wanted, ":"), id = strcspn(facts->ids, ":"),
         name = strcspn(facts->owner, ":");
  if (user > 0 && !is_one(wanted, user, facts->ids, id, facts->owner, name)) return false;
  if (wanted[user] == '\0') return true;
  const char *group = wanted + user + 1, *ids = facts->ids + id, *names = facts->owner + name;
  if (*ids != ':' || *names != ':') return false;
  return is_one(group, strlen(group), ids + 1, strlen(ids + 1), names + 1, strlen(names + 1));
}

bool dr__transfer_same_mode(const char *a, const char *b) {
  return strtoul(a, NULL, 8) == strtoul(b, NULL, 8);
}
