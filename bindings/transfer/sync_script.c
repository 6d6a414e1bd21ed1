/* sync_script.c - the shell texts of a sync: listing a folder of the target, hashing some of its
 * files, and taking new ones. Pure C. See transfer_script.c for how they end.
 *
 * Names travel between zero bytes, so that they may be anything; where the tools cannot do that
 * (busybox), a name with a line end is refused. */
#include "transfer.h"

/* Only what is a hash is let through, so that names do not matter; the caller compares the count.
 * sha256sum puts a backslash before the hash of an odd name. */
#define HASH_NAMES                                                                                 \
  "hash_names() {\n"                                                                               \
  "  if command -v openssl >/dev/null 2>&1; then xargs -0 openssl dgst -sha256 -r\n"               \
  "  else xargs -0 sha256sum; fi | sed -n 's/^\\\\\\{0,1\\}\\([0-9a-f]\\{64\\}\\) .*/\\1/p'\n"     \
  "}\n"

/* What find is told to, a record for each. */
#define SHOW                                                                                       \
  "show() {\n"                                                                                     \
  "  if stat --printf '' . 2>/dev/null; then\n"                                                    \
  "    find \"$@\" -exec stat --printf '%f %s %u:%g %U:%G %n\\0' {} +\n"                           \
  "  else\n"                                                                                       \
  "    [ -z \"$(find \"$@\" -name '*\n*' -print)\" ] || exit 34\n"                                 \
  "    find \"$@\" -exec stat -c '%f %s %u:%g %U:%G %n' {} + | tr '\\n' '\\0'\n"                   \
  "  fi\n"                                                                                         \
  "}\n"

/* What a sync of the same folder left here when it was cut off, see sync_left.c. Only a folder that
 * is ours alone is believed; one with `install` in it had arrived whole, and may be at work yet. */
#define LEFT                                                                                       \
  "left() {\n"                                                                                     \
  "  for l in ./.deployrun-sync.\"$key\".*; do\n"                                                  \
  "    [ \"$(stat -c '%F %u %a' \"$l\" 2>/dev/null)\" = \"directory $(id -u) 700\" ] || "          \
  "continue\n"                                                                                     \
  "    [ -s \"$l/sums\" ] && [ ! -e \"$l/install\" ] || continue\n"                                \
  "    printf 'left %s\\0' \"$l\"\n"                                                               \
  "    (cd \"$l\" && show . -type f; printf 'end\\0'; cat names; printf 'sums\\0'\n"               \
  "      tr '\\n' '\\0' <sums; printf 'there\\0')\n"                                               \
  "    break\n"                                                                                    \
  "  done\n"                                                                                       \
  "}\n"

/* $1 "yes": missing folders will be made; $2 "yes": only looked at; $3 see dr__sync_left_key(); $4
 * the owner that all of it will get, or "". */
const char dr__sync_list[] =
    "LC_ALL=C; export LC_ALL; parents=$1; look=$2; key=$3; owner=$4\n" SHOW LEFT DR_TRANSFER_MAY_OWN
    "if [ ! -e \"$f\" ] && [ ! -L \"$f\" ]; then\n"
    "  [ \"$look\" != yes ] || exit 32\n"
    "  p=$f first=yes\n"
    "  while [ ! -d \"$p\" ]; do\n"
    "    [ \"$parents\" = yes ] || [ \"$first\" = yes ] || exit 22\n"
    "    [ ! -e \"$p\" ] || exit 22\n"
    "    case $p in */*) p=${p%/*}; p=${p:-/} ;; *) p=. ;; esac\n"
    "    first=no\n"
    "  done\n"
    "  [ -w \"$p\" ] || exit 23\n"
    "  [ -z \"$owner\" ] || may_own \"$owner\" \"$p\" || exit 30\n"
    "  exit 40\n"
    "fi\n"
    "[ -d \"$f\" ] || exit 33\n"
    "cd \"$f\" || exit 23\n"
    "[ \"$look\" = yes ] || [ -w . ] || exit 23\n"
    "[ -z \"$owner\" ] || may_own \"$owner\" . || exit 30\n"
    "[ -z \"$key\" ] || left\n"
    "ours='-path ./.deployrun-sync.* -prune -o'; set -f\n"
    "show . $ours ! -type l || exit 23\n"
    "find . $ours -type l -exec sh -c 'for p do\n"
    "  printf \"%s %s\\\\0\" \"$(stat -c \"%f 0 %u:%g %U:%G\" \"$p\")\" \"$p\"\n"
    "  t=$(readlink \"$p\"; echo x); printf \"%s\\\\0\" \"${t%?x}\"\n"
    "done' sh {} + || exit 23\n"
    "find . $ours -type d ! -name . -exec sh -c 'for p do\n"
    "  [ -w \"$p\" ] && [ -x \"$p\" ] || printf \"closed %s\\0\" \"$p\"\n"
    "done' sh {} + || exit 23\n"
    "printf 'user %s %s\\0' \"$(id -u):$(id -g)\" \"$(id -G)\"\n"
    "set -- $(df -Pk . 2>/dev/null | tail -n 1)\n"
    "printf 'available %s\\0end\\0' \"${4:-0}\"\n";

const char dr__sync_hash[] = "LC_ALL=C; export LC_ALL\n" HASH_NAMES "cd \"$f\" || exit 23\n"
                             "hash_names\n"
                             "echo end\n";

/* $1 "yes": make missing folders, $2 owner or "", $3 see dr__sync_left_key(), $4 a folder that was
 * left, to be gone on with, or "". Standard input is a tar archive: `names` and `sums` of the files
 * in new/, what is to be added to some of them in rest/, and `install`, which puts them in their
 * places once they are verified.
 *
 * A file is as old as its installation, not as the file here: what tells by size and time whether a
 * file is new (Python's bytecode, a server's ETag) sees each that was replaced.
 *
 * What is left is taken by renaming it into a folder of our own, so that nobody else goes on with
 * it too. It stays when the archive does not arrive whole, and only then. */
const char dr__sync_receive[] =
    "LC_ALL=C; export LC_ALL; parents=$1; owner=$2; key=$3; left=$4\n" HASH_NAMES
    "command -v tar >/dev/null 2>&1 || exit 36\n"
    "umask 022\n"
    "if [ ! -d \"$f\" ]; then\n"
    "  if [ \"$parents\" = yes ]; then mkdir -p \"$f\"; else mkdir \"$f\"; fi || exit 22\n"
    "fi\n"
    "cd \"$f\" || exit 23\n"
    "umask 077\n"
    "s=$(mktemp -d \"./.deployrun-sync.$key.XXXXXX\") || exit 23\n"
    "export s\n"
    "keep=\n"
    "trap '[ -n \"$keep\" ] || rm -rf \"$s\"' EXIT\n"
    "trap 'exit 1' TERM HUP INT PIPE\n"
    "fold() {\n"
    "  [ ! -d \"$s/rest\" ] || (cd \"$s/rest\" && find . -type f -exec sh -c 'for p do\n"
    "    chmod u+w \"../new/$p\" && cat \"$p\" >>\"../new/$p\" && rm -f \"$p\" || exit 1\n"
    "  done' sh {} +)\n"
    "}\n"
    "if [ -n \"$left\" ]; then\n"
    "  mv -f \"$left\"/* \"$s\" && rm -rf \"$left\" && fold || exit 29\n"
    "fi\n"
    "find . -maxdepth 1 -name '.deployrun-sync.*' -mmin +1440 -exec rm -rf {} + 2>/dev/null\n"
    "keep=yes\n"
    "e=$(tar -x -o -p -m -f - -C \"$s\" 2>&1) || {\n"
    "  [ $? -le 128 ] || exit 27\n"
    "  c=26\n"
    "  case $e in\n"
    "    *'No space'* | *quota*) c=25 ;;\n"
    "    *'nexpected EOF'* | *'short read'* | *'nexpected end'* | *'not look like a tar'*) c=27 "
    ";;\n"
    "  esac\n"
    "  [ $c = 27 ] || keep=\n"
    "  echo \"$e\" >&2\n" /* last: nobody may be there to hear it, which ends the script */
    "  exit $c\n"
    "}\n"
    "[ -f \"$s/install\" ] || exit 27\n"
    "keep=\n"
    "fold || exit 26\n"
    "if [ -s \"$s/names\" ]; then\n"
    "  (cd \"$s/new\" && hash_names <../names) | cmp -s - \"$s/sums\" || exit 28\n"
    "fi\n"
    "if [ -n \"$owner\" ] && [ -d \"$s/new\" ]; then chown -hR \"$owner\" \"$s/new\" || exit 30; "
    "fi\n"
    "[ ! -d \"$s/new\" ] || find \"$s/new\" -type f -exec touch {} +\n"
    "sync -f \"$s\" 2>/dev/null || sync\n"
    "umask 022\n"
    "sh -e \"$s/install\" || { [ $? -ne 30 ] || exit 30; exit 35; }\n"
    "sync -f . 2>/dev/null || sync\n"
    "exit 0\n";
