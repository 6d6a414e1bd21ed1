# transfer_world.sh - an sshd of its own, and transfers that can be held in their middle; for transfer.sh, to be sourced.
# shellcheck shell=sh disable=SC2034 # what it sets is used there
work=$(mktemp -d /tmp/transfer-test.XXXXXX)
space=
address=127.0.0.1
pids=
started=

fail() { echo "transfer.sh: $*" >&2; [ ! -f "$work/out" ] || cat "$work/out" >&2; exit 1; }
say() { printf '== %s\n' "$*"; }

tear_down() {
  # shellcheck disable=SC2086 # a list
  [ -z "$pids$started" ] || kill -KILL $pids $started 2>/dev/null || true
  # Sessions whose network went dark wait for ever.
  [ -z "$space" ] || ip netns pids "$space" | xargs -r kill -KILL 2>/dev/null || true
  for disk in small medium; do
    ! mountpoint -q "$work/$disk" || umount "$work/$disk" || umount -l "$work/$disk"
  done
  [ -z "$space" ] || ip netns del "$space" 2>/dev/null || true
  rm -rf "$work"
}
trap tear_down EXIT
trap 'exit 130' INT TERM

# until_true SECONDS COMMAND…: waits for a condition.
until_true() {
  tries=$(($1 * 20))
  shift
  until "$@"; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || fail "did not become true: $*"
    sleep 0.05
  done
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

make_cable() {
  number=$(($$ % 250))
  ip netns add "deployrun-transfer-$number" || return 1
  space=deployrun-transfer-$number
  ip link add "drtr$number" type veth peer name far netns "$space"
  ip addr add "10.214.$number.1/30" dev "drtr$number"
  ip link set "drtr$number" up
  ip -n "$space" addr add "10.214.$number.2/30" dev far
  ip -n "$space" link set far up
  ip -n "$space" link set lo up
  address=10.214.$number.2
}
# dark A, dark D: begins to drop every packet without a word, and ends it.
dark() { for chain in INPUT OUTPUT; do ip netns exec "$space" iptables "-$1" $chain -j DROP; done; }

# The home is the test's own: what a person's shell does at the beginning of each command takes its time.
start_sshd() {
  port=$(free_port)
  cat >"$work/sshd.conf" <<END
Port $port
HostKey $work/host_key
PidFile none
AuthorizedKeysFile $work/key.pub
PermitRootLogin yes
StrictModes no
UsePAM no
SetEnv HOME=$work
UseDNS no
END
  [ "$(id -u)" != 0 ] || mkdir -p /run/sshd
  if [ -n "$space" ]; then
    ip netns exec "$space" /usr/sbin/sshd -D -e -f "$work/sshd.conf" >"$work/sshd.log" 2>&1 &
  else
    /usr/sbin/sshd -D -e -f "$work/sshd.conf" >"$work/sshd.log" 2>&1 &
  fi
  pids="$pids $!"
  until_true 10 scan "$port"
}
scan() { ssh-keyscan -T 1 -p "$1" "$address" 2>/dev/null | grep . >"$work/known_hosts"; }

config() {
  cat >"$work/config" <<END
Host host1
  HostName $1
  Port $2
  User $(id -un)
  IdentityFile $work/key
  UserKnownHostsFile $3
END
}

ssh-keygen -q -t ed25519 -N '' -f "$work/key"
ssh-keygen -q -t ed25519 -N '' -f "$work/host_key"
[ "$(id -u)" != 0 ] || make_cable || say "no network namespace here"
mkdir "$work/small" "$work/medium"
# Before sshd begins: what is mounted later is not seen from its namespace.
if [ -n "$space" ]; then
  mount -t tmpfs -o size=16m tmpfs "$work/small"
  mount -t tmpfs -o size=36m tmpfs "$work/medium"
fi
start_sshd
config "$address" "$port" "$work/known_hosts"

mkdir "$work/there"
cat >"$work/up.lua" <<'LUA'
return recipe { name = "up", params = { from = param.path { required = true }, to = param.path { required = true },
    config = param.path { required = true }, attempts = param.int { default = 3 },
    wait = param.int { default = 20 }, path = param.string { default = "/usr/bin:/bin:/usr/sbin" } },
  run = function(p)
    local there = host { "host1", config = p.config, keepalive = 1, connect_timeout = p.wait }
    local result = there:env { PATH = p.path }:upload(p.from, p.to, { attempts = p.attempts })
    log(("changed=%s sent=%d resumed_from=%d attempts=%d"):format(result.changed, result.sent, result.resumed_from,
      result.attempts))
  end }
LUA

# begin_upload [OPTION…]: in the background; its process is $run.
# shellcheck disable=SC2120 # whoever sources this gives them
begin_upload() {
  "$DEPLOYRUN" "$work/up.lua" from="$work/big" to="$to" config="$work/config" "$@" >"$work/out" 2>&1 &
  run=$!
  started=$run
}
end_upload() {
  status=0
  wait "$run" || status=$?
  started=
}
upload() {
  # shellcheck disable=SC2119 # without options
  begin_upload
  end_upload
}
says() { grep -q -- "$1" "$work/out" || fail "not said: $1"; }
is_whole() { cmp -s "$work/big" "$to" || fail "the file did not arrive whole"; }
is_old() { [ "$(cat "$to")" = old ] || fail "the old file was touched"; }
partial() { ls "$(dirname "$to")"/.*.deployrun-*.part 2>/dev/null; }
has_partial() { [ -n "$(partial)" ]; }
size_of_partial() { wc -c <"$(partial)"; }

# Downloads and writes, as begin_upload.
cat >"$work/down.lua" <<'LUA'
return recipe { name = "down", params = { from = param.path { required = true }, to = param.path { required = true },
    work = param.path { required = true }, attempts = param.int { default = 3 },
    path = param.string { default = "/usr/bin:/bin:/usr/sbin" } },
  run = function(p)
    local there = host { "host1", config = p.work .. "/config", keepalive = 1 }
    local result = there:env { PATH = p.path }:download(p.from, p.to, { attempts = p.attempts })
    log(("changed=%s bytes=%d attempts=%d"):format(result.changed, result.bytes, result.attempts))
  end }
LUA
cat >"$work/write.lua" <<'LUA'
return recipe { name = "write", params = { to = param.path { required = true }, work = param.path { required = true },
    path = param.string { default = "/usr/bin:/bin:/usr/sbin" } },
  run = function(p)
    local there = host { "host1", config = p.work .. "/config", keepalive = 1 }
    there:env { PATH = p.path }:write(p.to, ("0123456789abcdef"):rep(500000))
  end }
LUA
begin() {
  recipe=$1
  shift
  "$DEPLOYRUN" "$work/$recipe.lua" work="$work" to="$to" "$@" >"$work/out" 2>&1 &
  run=$!
  started=$run
}
run_it() {
  begin "$@"
  end_upload
}

# The process that writes the partial file.
find_writer() {
  # shellcheck disable=SC2012 # a table of links
  writer=$(ls -l /proc/[0-9]*/fd/1 2>/dev/null | sed -n "s|.* /proc/\([0-9]*\)/fd/1 -> $work/.*[.]part\$|\1|p" | tail -n 1)
  [ -n "$writer" ] && part=$(partial) && [ -s "$part" ]
}
find_any_writer() {
  # shellcheck disable=SC2012 # a table of links
  writer=$(ls -l /proc/[0-9]*/fd/1 2>/dev/null |
    sed -n "s|.* /proc/\([0-9]*\)/fd/1 -> $work/.*[.]part[.A-Za-z0-9]*\$|\1|p" | tail -n 1)
  [ -n "$writer" ] && [ -s "/proc/$writer/fd/1" ]
}
# hold: lets an upload come to its middle and stand still there.
hold() {
  until_true 20 find_writer
  kill -STOP "$writer"
  held=$writer
  pids="$pids $held"
}

fresh() {
  to=$work/there/$1
  echo old >"$to"
  rm -f "$work"/there/.*.part
}

cat >"$work/sync.lua" <<'LUA'
return recipe { name = "sync", params = { work = param.path { required = true }, attempts = param.int { default = 3 },
    wait = param.int { default = 20 },
    path = param.string { default = "/usr/bin:/bin:/usr/sbin" } },
  run = function(p)
    local there = host { "host1", config = p.work .. "/config", keepalive = 1, connect_timeout = p.wait }
    local result = there:env { PATH = p.path }:sync(p.work .. "/tree", p.work .. "/synced", { delete = true, attempts = p.attempts })
    log(("sent=%d bytes=%d resumed_from=%d attempts=%d"):format(result.sent, result.bytes, result.resumed_from,
      result.attempts))
  end }
LUA
begin_sync() {
  "$DEPLOYRUN" "$work/sync.lua" work="$work" "$@" >"$work/out" 2>&1 &
  run=$!
  started=$run
}
# On the path of a sync, a tar that is given so many bytes of its archive and then none while the hold is on.
mkdir "$work/held"
cat >"$work/held/tar" <<END
#!/bin/sh
cd "$work/held"
echo \$PPID >owner
{
  /bin/dd bs=65536 count="\$(cat blocks)" iflag=fullblock 2>/dev/null
  : >reached
  while [ -e hold ]; do sleep 0.05; done
  exec /bin/cat
} | { cd - >/dev/null && exec \$(cat "$work/held/real") "\$@"; }
END
chmod 755 "$work/held/tar"
# On the path of a download or a write, a head or cat that gives so many bytes of what it would and then none while the
# hold is on; and one that damages what it gives.
for name in head cat; do
  mkdir "$work/held_$name" "$work/damaged_$name"
  cat >"$work/held_$name/$name" <<END
#!/bin/sh
[ -e "$work/held/hold" ] || exec /usr/bin/$name "\$@"
echo \$PPID >"$work/held/owner"
/usr/bin/$name "\$@" | {
  /bin/dd bs=65536 count=40 iflag=fullblock 2>/dev/null
  : >"$work/held/reached"
  while [ -e "$work/held/hold" ]; do sleep 0.05; done
  exec /bin/cat
}
END
  printf '#!/bin/sh\n/usr/bin/%s "$@" | tr 1 2\n' $name >"$work/damaged_$name/$name"
  chmod 755 "$work/held_$name/$name" "$work/damaged_$name/$name"
done
cat >"$work/held_head/tail" <<END
#!/bin/sh
echo "\$@" >>"$work/tails"
exec /usr/bin/tail "\$@"
END
chmod 755 "$work/held_head/tail"
# hold_it HELD RECIPE [OPTION…]: begins it, lets it come to its middle and stand still there.
hold_it() {
  rm -f "$work/held/reached" "$work/held/owner" "$work/tails"
  : >"$work/held/hold"
  with=$work/held_$1:$usual_path
  shift
  begin "$@" path="$with"
  until_true 30 test -e "$work/held/reached"
}
# cut: ends the session of what is held, as a server that dies does.
cut() {
  session=$(cat "$work/held/owner")
  while [ "$(cat "/proc/$session/comm")" != sshd ]; do session=$(ps -o ppid= -p "$session" | tr -d ' '); done
  kill -KILL "$session"
}
usual_path=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
# hold_sync BLOCKS [OPTION…]: begins a sync that comes so far, in blocks of 64 KiB, and stands still there.
hold_sync() {
  echo "$1" >"$work/held/blocks"
  [ -e "$work/held/real" ] || echo /bin/tar >"$work/held/real"
  rm -f "$work/held/reached"
  : >"$work/held/hold"
  shift
  begin_sync path="$work/held:$usual_path" "$@"
  until_true 30 test -e "$work/held/reached"
}
# What was held comes to its end.
let_go() {
  rm "$work/held/hold"
  until_true 20 test ! -e "/proc/$(cat "$work/held/owner")"
}
# What has arrived of a sync that was cut off, in bytes.
size_of_left() { find "$work"/synced/.deployrun-sync.*/new "$work"/synced/.deployrun-sync.*/rest -type f -exec cat {} + \
  2>/dev/null | wc -c; }
old_tree() {
  rm -rf "$work/synced"
  mkdir -p "$work/synced/sub"
  echo old >"$work/synced/a"
  echo gone >"$work/synced/sub/gone"
}
is_old_tree() {
  [ "$(cat "$work/synced/a" "$work/synced/sub/gone")" = "$(printf 'old\ngone')" ] || fail "the old files were touched"
  [ "$(cd "$work/synced" && find . -path './.deployrun-sync.*' -prune -o -type f -print | wc -l)" = 2 ] ||
    fail "a new file is in its place already"
}
is_new_tree() {
  diff -r --no-dereference "$work/tree" "$work/synced" >/dev/null || fail "the folder is not as it should be"
  [ "$(stat -c %a "$work/synced/big" "$work/synced/sub/b")" = "$(printf '640\n755')" ] || fail "the modes are others"
}
