#!/bin/sh
# transfer.sh - uploads, downloads and syncs over SSH, and what goes wrong in the middle of them: connections that are
# cut or go dark, full disks, kills. An sshd of its own, in a network namespace of its own, is the target; without root
# the network is this machine's, and what needs a namespace is left out.
set -eu
# shellcheck source=tests/bindings/transfer_world.sh
. "$DEPLOYRUN_SOURCE_DIR/tests/bindings/transfer_world.sh"

say "the specs over OpenSSH"
for spec in transfer sync; do
  SPEC_SSH_CONFIG=$work/config SPEC_FOLDER=$work "$DEPLOYRUN" "$DEPLOYRUN_SOURCE_DIR/tests/bindings/$spec.lua" \
    >"$work/out" 2>&1 || fail "$spec over SSH"
done

head -c 25165824 /dev/urandom >"$work/big"

# watch_memory: runs an upload to its end; sets highest to the most memory it had, in KiB.
watch_memory() {
  begin_upload
  highest=0
  while kill -0 "$run" 2>/dev/null; do
    now=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$run/status" 2>/dev/null || true)
    [ -z "$now" ] || highest=$now
    sleep 0.02
  done
  end_upload
  [ "$status" = 0 ] || fail "exit status $status"
  is_whole
}

say "memory stays flat"
ASAN_OPTIONS="${ASAN_OPTIONS:-}${ASAN_OPTIONS:+:}quarantine_size_mb=1"
export ASAN_OPTIONS
mv "$work/big" "$work/kept"
head -c 1000000 "$work/kept" >"$work/big"
fresh little
watch_memory
little=$highest
mv "$work/kept" "$work/big"
fresh memory
watch_memory
[ $((highest - little)) -lt 16000 ] || fail "24 MiB took $((highest - little)) KiB more memory than 1 MB"

say "a session that is killed in the middle is made again, and only the rest is sent"
fresh killed
begin_upload
hold
session=$(ps -o ppid= -p "$(ps -o ppid= -p "$held" | tr -d ' ')" | tr -d ' ')
while [ "$(cat "/proc/$session/comm")" != sshd ]; do session=$(ps -o ppid= -p "$session" | tr -d ' '); done
kill -KILL "$session" "$held"
end_upload
[ "$status" = 0 ] || fail "exit status $status"
is_whole
says 'attempts=2'
! grep -q 'resumed_from=0 ' "$work/out" || fail "it began from nothing"

say "a file that changes while it is sent replaces nothing"
fresh changing
cp "$work/big" "$work/kept"
begin_upload
hold
printf changed | dd of="$work/big" bs=1 seek=25000000 conv=notrunc 2>/dev/null
kill -CONT "$held"
end_upload
[ "$status" = 1 ] || fail "exit status $status"
says 'transfer.changed'
is_old
[ -z "$(partial)" ] || fail "what was no use was kept"
mv "$work/kept" "$work/big"

say "Ctrl-C in the middle leaves the old file"
fresh cancelled
begin_upload
hold
kill -INT "$run"
kill -CONT "$held"
end_upload
[ "$status" = 130 ] || fail "exit status $status"
is_old

say "so does kill -9, and the next run goes on"
fresh crashed
begin_upload
hold
had=$(size_of_partial)
kill -KILL "$run"
end_upload
is_old
kill -KILL "$held" 2>/dev/null || true
until_true 5 test ! -e "/proc/$held"
[ "$had" -gt 0 ] || fail "nothing had arrived"
upload
[ "$status" = 0 ] || fail "exit status $status"
is_whole
! grep -q 'resumed_from=0 ' "$work/out" || fail "it began from nothing"
upload
says 'changed=false sent=0'

say "two uploads of one file to one path at the same time do not disturb each other"
noflock=$work/noflock
mkdir "$noflock"
for name in sh cat wc stat chown chmod mv rm sync sha256sum cut mktemp head tail df find readlink printf touch id mkdir; do
  ln -s "$(command -v -- $name | grep / || echo /usr/bin/$name)" "$noflock/$name"
done
for with in "/usr/bin:/bin:/usr/sbin" "$noflock"; do
  fresh twice
  begin_upload path="$with"
  until_true 20 find_any_writer
  kill -STOP "$writer"
  held=$writer
  pids="$pids $held"
  first=$run
  begin_upload path="$with"
  end_upload
  [ "$status" = 0 ] || fail "the second: exit status $status"
  is_whole
  kill -CONT "$held"
  run=$first
  started=$run
  end_upload
  [ "$status" = 0 ] || fail "the first: exit status $status"
  is_whole
  [ -z "$(ls "$work"/there/.*.part* 2>/dev/null)" ] || fail "something is left: $(ls -A "$work/there")"
done

say "one that is cut while another is at work is gone on with"
fresh cut_beside
begin_upload path="$noflock"
until_true 20 find_any_writer
kill -STOP "$writer"
kill -KILL "$run"
end_upload
kill -KILL "$writer"
until_true 20 has_partial
upload
[ "$status" = 0 ] || fail "exit status $status"
is_whole
! grep -q 'resumed_from=0 ' "$work/out" || fail "it began from nothing"

say "a download that is cut in the middle is gone on with; Ctrl-C leaves the old file"
to=$work/there/back
echo old >"$to"
hold_it head down from="$work/big"
kill -INT "$run"
end_upload
rm "$work/held/hold"
[ "$status" = 130 ] || fail "exit status $status"
is_old
rm -f "$work"/there/.*.part
hold_it head down from="$work/big"
is_old
cut
rm "$work/held/hold"
end_upload
[ "$status" = 0 ] || fail "exit status $status"
is_whole
says 'attempts=2'
grep -q '^-c +[0-9]' "$work/tails" || fail "it began from nothing"

say "a write that is cut or interrupted in the middle leaves the old file; what is damaged is seen"
to=$work/there/written
echo old >"$to"
hold_it cat write
cut
end_upload
[ "$status" = 1 ] || fail "exit status $status"
says 'ssh.connection_lost'
is_old
let_go
is_old
hold_it cat write
kill -INT "$run"
end_upload
[ "$status" = 130 ] || fail "exit status $status"
let_go
is_old
nothing_left() { [ -z "$(ls "$work"/there/.deployrun.* 2>/dev/null)" ]; }
until_true 5 nothing_left
run_it write path="$work/damaged_cat:$usual_path"
[ "$status" = 1 ] || fail "exit status $status"
says 'transfer.corrupt'
is_old
nothing_left || fail "something is left"
rm "$to"

mkdir -p "$work/tree/sub"
head -c 1000000 "$work/big" >"$work/tree/a"
head -c 6000000 "$work/big" >"$work/tree/big"
chmod 640 "$work/tree/big"
head -c 2000000 "$work/big" | tail -c 1000000 >"$work/tree/sub/b"
chmod 755 "$work/tree/sub/b"
ln -s ../a "$work/tree/sub/link"

say "a folder's download that is cut in the middle replaces nothing before all is there"
to=$work/there/tree
mkdir "$to"
echo old >"$to/a"
hold_it cat down from="$work/tree" attempts=1
cut
end_upload
rm "$work/held/hold"
[ "$status" = 1 ] || fail "exit status $status"
says 'ssh.connection_lost'
[ "$(cat "$to/a")$(ls -A "$to")" = olda ] || fail "the old folder was touched: $(ls -A "$to")"
hold_it cat down from="$work/tree"
kill -INT "$run"
end_upload
[ "$status" = 130 ] || fail "exit status $status"
[ "$(cat "$to/a")$(ls -A "$to")" = olda ] || fail "the old folder was touched: $(ls -A "$to")"
rm "$work/held/hold"
hold_it cat down from="$work/tree"
cut
rm "$work/held/hold"
end_upload
[ "$status" = 0 ] || fail "exit status $status"
diff -r --no-dereference "$work/tree" "$to" || fail "the folder is not as it should be"

say "what is put in its place is on the disk before, and its folder after"
mkdir "$work/syncing"
printf '#!/bin/sh\necho "$*" >>"%s"\nexec /bin/sync "$@"\n' "$work/synced.log" >"$work/syncing/sync"
chmod 755 "$work/syncing/sync"
# synced WHAT FIRST SECOND: two syncs, in this order, of names like these.
synced() {
  [ -e "$work/synced.log" ] || fail "$1 wrote nothing to the disk"
  [ "$(wc -l <"$work/synced.log")" = 2 ] || fail "$1 wrote to the disk: $(cat "$work/synced.log")"
  sed -n 1p "$work/synced.log" | grep -qx -- "$2" || fail "$1 wrote first: $(cat "$work/synced.log")"
  sed -n 2p "$work/synced.log" | grep -qx -- "$3" || fail "$1 wrote then: $(cat "$work/synced.log")"
  rm "$work/synced.log"
}
fresh durable
begin_upload path="$work/syncing:$usual_path"
end_upload
synced "an upload" "$work/there/[.]durable[.]deployrun-.*[.]part" "$work/there"
run_it write path="$work/syncing:$usual_path"
synced "a write" "$work/there/[.]deployrun[.].*" "$work/there"
rm -rf "$work/synced"
begin_sync path="$work/syncing:$usual_path"
end_upload
synced "a sync" "-f [.]/[.]deployrun-sync[.].*" "-f [.]"

say "Ctrl-C in the middle of a sync leaves the old files"
old_tree
hold_sync 60
kill -INT "$run"
end_upload
[ "$status" = 130 ] || fail "exit status $status"
let_go
is_old_tree

# kill_sync BLOCKS [OPTION…]: kills a sync that has come so far.
kill_sync() {
  hold_sync "$@"
  kill -KILL "$run"
  end_upload
  let_go
}
# sync_now [OPTION…]: a sync that ends well.
sync_now() {
  begin_sync "$@"
  end_upload
  [ "$status" = 0 ] || fail "exit status $status"
  is_new_tree
}

say "a sync that is killed twice is gone on with twice"
old_tree
kill_sync 60
first=$(size_of_left)
is_old_tree
kill_sync 20
second=$(size_of_left)
[ "$second" -gt "$first" ] || fail "$second bytes are there, after $first"
is_old_tree
sync_now
says "sent=4 bytes=8000000 resumed_from=$second attempts=1"
sync_now
says 'sent=0 bytes=0 resumed_from=0'

say "what was damaged meanwhile is sent anew"
old_tree
kill_sync 60
printf damaged | dd of="$(echo "$work"/synced/.deployrun-sync.*/new/a)" bs=1 seek=1000 conv=notrunc 2>/dev/null
sync_now
says 'resumed_from=0 attempts=2'

if [ -x /bin/busybox ]; then
  say "so it is with the programs of busybox"
  mkdir "$work/busybox"
  for name in $(/bin/busybox --list); do ln -s /bin/busybox "$work/busybox/$name"; done
  old_tree
  usual_path=$work/busybox
  echo /bin/busybox tar >"$work/held/real"
  kill_sync 60
  first=$(size_of_left)
  is_old_tree
  sync_now path="$work/busybox"
  says "resumed_from=$first attempts=1"
  usual_path=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
  echo /bin/tar >"$work/held/real"
fi

if [ -n "$space" ]; then
  say "a network that goes dark in the middle of a sync: the old files are whole, then only what is missing is sent"
  old_tree
  hold_sync 60 attempts=2 wait=5
  dark A
  end_upload
  [ "$status" = 1 ] || fail "exit status $status"
  grep -qE 'ssh.(connection_lost|timeout|connect)' "$work/out" || fail "no such code"
  says 'only what is missing is sent'
  is_old_tree
  dark D
  left=$(size_of_left)
  [ "$left" -gt 1000000 ] || fail "$left bytes had arrived"
  sync_now # the one that hangs is still there
  says "resumed_from=$left attempts=1"
  let_go

  say "a network that goes dark in the middle: an end within its bound, the old file whole, then only the rest"
  fresh dark
  begin_upload attempts=2 wait=5
  hold
  dark A
  began=$(date +%s)
  end_upload
  [ "$status" = 1 ] || fail "exit status $status"
  [ $(($(date +%s) - began)) -le 30 ] || fail "it took $(($(date +%s) - began)) s"
  grep -qE 'ssh.(connection_lost|timeout|connect)' "$work/out" || fail "no such code"
  says 'the old file is whole'
  is_old
  kill -KILL "$held"
  dark D
  had=$(size_of_partial)
  upload
  [ "$status" = 0 ] || fail "exit status $status"
  is_whole
  says "sent=$((25165824 - had)) resumed_from=$had attempts=1"

  say "a network that comes back is used again within the same run"
  fresh back
  begin_upload attempts=6 wait=5 --json
  hold
  dark A
  until_true 20 grep -q '"attempt 2: ' "$work/out"
  kill -KILL "$held"
  dark D
  end_upload
  [ "$status" = 0 ] || fail "exit status $status"
  is_whole
  grep -qE '"event":"progress".*"bytes":[0-9]+,"total":25165824,"rate":[0-9.]+' "$work/out" || fail "no progress is told"

  say "a disk that is too small, or becomes full in the middle"
  to=$work/small/file
  echo old >"$to"
  upload
  [ "$status" = 1 ] || fail "exit status $status"
  says 'transfer.no_space'
  is_old
  [ -z "$(partial)" ] || fail "something was begun"
  to=$work/medium/file
  echo old >"$to"
  begin_upload
  hold
  head -c 36000000 /dev/zero >"$work/medium/filler" || true
  kill -CONT "$held"
  end_upload
  [ "$status" = 1 ] || fail "exit status $status"
  says 'transfer.no_space'
  is_old
  [ -z "$(partial)" ] || fail "the full disk was left full"

  say "a disk here that becomes full in the middle of a download"
  rm -f "$work/medium/"*
  to=$work/medium/back
  echo old >"$to"
  echo old >"$work/medium/file"
  hold_it head down from="$work/big"
  head -c 36000000 /dev/zero >"$work/medium/filler" || true
  rm "$work/held/hold"
  end_upload
  [ "$status" = 1 ] || fail "exit status $status"
  says 'transfer.no_space'
  says 'make room on this machine'
  is_old
  [ -z "$(partial)" ] || fail "the full disk was left full"

  say "a disk that is full for a write"
  to=$work/medium/file
  run_it write
  [ "$status" = 1 ] || fail "exit status $status"
  says 'transfer.no_space'
  says 'make room on that disk'
  is_old
  [ "$(ls -A "$work/medium")" = "$(printf 'back\nfile\nfiller')" ] || fail "something is left"

  say "a disk that becomes full in the middle of a sync"
  rm -rf "$work/synced" "$work/medium/"*
  mkdir "$work/medium/synced"
  ln -s medium/synced "$work/synced"
  echo old >"$work/synced/a"
  mkdir "$work/synced/sub"
  echo gone >"$work/synced/sub/gone"
  hold_sync 60
  head -c 36000000 /dev/zero >"$work/medium/filler" || true
  let_go
  end_upload
  [ "$status" = 1 ] || fail "exit status $status"
  says 'transfer.no_space'
  is_old_tree
  [ -z "$(ls -d "$work"/synced/.deployrun-sync.* 2>/dev/null)" ] || fail "the full disk was left full"
  rm "$work/medium/filler"
  begin_sync
  end_upload
  [ "$status" = 0 ] || fail "exit status $status"
  diff -r --no-dereference "$work/tree" "$work/medium/synced" || fail "the folder is not as it should be"

  say "sudo, owners and what is not allowed"
  if command -v sudo >/dev/null && id nobody >/dev/null 2>&1; then
    chmod 711 "$work"
    TEST_TOKEN=abcdefgh SPEC_SSH_CONFIG=$work/config SPEC_FOLDER=$work "$DEPLOYRUN" \
      "$DEPLOYRUN_SOURCE_DIR/tests/bindings/transfer_sudo.lua" >"$work/out" 2>&1 || fail "files by sudo"
    ! grep -rq abcdefgh "$XDG_STATE_HOME" || fail "the secret is in a journal"
  fi

  say "a group that the user is one of is kept by upload, write and sync"
  cat >"$work/group.lua" <<'LUA'
return recipe { name = "group", params = { folder = param.path { required = true } },
  run = function(p)
    local here = host("local"):cd(p.folder)
    local function check(what)
      here:run("[ \"$(stat -c %g kept)\" = 12345 ] || { echo '" .. what .. " took it from its group'; exit 1; }")
    end
    here:write("kept", "written\n")
    check("write")
    here:run("mkdir from; echo first >from/kept")
    here:upload(p.folder .. "/from/kept", "kept")
    check("upload")
    here:run("echo second >from/kept")
    here:sync(p.folder .. "/from", ".")
    check("sync")
    here:run("[ \"$(cat kept)\" = second ]")
  end }
LUA
  group() { setpriv --reuid=65534 --regid=65534 --groups=65534,12345 -- "$@"; }
  if command -v setpriv >/dev/null && group test -x "$DEPLOYRUN"; then
    chmod 711 "$work"
    mkdir "$work/group"
    echo old >"$work/group/kept"
    chown 65534:12345 "$work/group/kept"
    chown 65534:65534 "$work/group"
    chmod 644 "$work/group.lua"
    XDG_STATE_HOME=$work/group/state group "$DEPLOYRUN" "$work/group.lua" folder="$work/group" >"$work/out" 2>&1 ||
      fail "a group was not kept"
  fi

  if command -v dropbear >/dev/null && unshare -m true 2>/dev/null; then
    say "dropbear"
    mkdir -p "$work/home/.ssh" && chmod 700 "$work/home" "$work/home/.ssh"
    cp "$work/key.pub" "$work/home/.ssh/authorized_keys"
    dropbearkey -t ed25519 -f "$work/dropbear_key" >/dev/null 2>&1
    port=$(free_port)
    address=127.0.0.1
    # shellcheck disable=SC2016 # the inner shell's
    unshare -m sh -c 'mount --bind "$1/home" ~root && exec dropbear -F -E -r "$1/dropbear_key" -p "127.0.0.1:$2" \
      -P "$1/pid"' sh "$work" "$port" >"$work/dropbear.log" 2>&1 &
    pids="$pids $!"
    until_true 10 scan "$port"
    config "$address" "$port" "$work/known_hosts"
    SPEC_SSH_CONFIG=$work/config SPEC_FOLDER=$work "$DEPLOYRUN" "$DEPLOYRUN_SOURCE_DIR/tests/bindings/sync.lua" \
      >"$work/out" 2>&1 || fail "sync over dropbear"
    fresh dropbear
    upload
    [ "$status" = 0 ] || fail "exit status $status"
    is_whole
  fi
fi
say "all is well"
