#!/bin/sh
# many_hosts.sh COUNT - fan-out on a real sshd of its own on loopback, all of 127.0.0.0/8 being one machine:
#
#   COUNT addresses in one run: all answer, none is asked twice, memory, threads and files are told and bounded
#   64 names for one address that has sshd's own MaxStartups: nobody is turned away
#   64 hosts through one bastion with the same MaxStartups
#   64 hosts of which 1, then 9 are dead: what the others did is kept, and a dead one is asked once
set -eu
count=$1
folder=$PWD/many
pids=
rm -rf "$folder"
mkdir -m 700 "$folder"

fail() { echo "FAILED: $*" >&2; exit 1; }

# shellcheck disable=SC2317 # by trap
tear_down() {
  for pid in $pids; do kill "$pid" 2>/dev/null || true; done
}
trap tear_down EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

wait_for() {
  tries=200
  until "$@"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || fail "$* did not come true within 20 s"
    sleep 0.1
  done
}

# start_sshd NAME PORT MAXSTARTUPS-LINE: on all of 127.0.0.0/8; the home of who logs in is empty.
start_sshd() {
  port=$2
  cat >"$folder/$1.conf" <<END
ListenAddress 0.0.0.0
Port $port
HostKey $folder/host_key
PidFile none
AuthorizedKeysFile $folder/key.pub
StrictModes no
UsePAM no
UseDNS no
PermitRootLogin yes
PasswordAuthentication no
LogLevel VERBOSE
SetEnv HOME=$folder
$3
END
  [ "$(id -u)" != 0 ] || mkdir -p /run/sshd
  /usr/sbin/sshd -D -f "$folder/$1.conf" -E "$folder/$1.log" &
  pids="$pids $!"
  wait_for ssh-keyscan -T 1 -p "$port" 127.0.0.1 >/dev/null 2>&1
  : >"$folder/$1.log"
}

# connections NAME, dropped NAME: what that sshd wrote since it was forgotten last.
connections() { grep -c '^Connection from' "$folder/$1.log" || true; }
dropped() { grep -cE 'drop connection|MaxStartups' "$folder/$1.log" || true; }
forget() { : >"$folder/$1.log"; }

# expect NAME CONNECTIONS: so many were made, and none was turned away.
expect() {
  made=$(connections "$1")
  [ "$made" = "$2" ] || fail "sshd $1 has seen $made connections, not $2"
  [ "$(dropped "$1")" = 0 ] || fail "sshd $1 turned connections away: $(grep -i drop "$folder/$1.log" | head -3)"
}

# run_it RECIPE [PARAM…]: json lines in events; fails unless the run is done.
run_it() {
  recipe=$1
  shift
  "$DEPLOYRUN" "$folder/$recipe.lua" --json "$@" >"$folder/events" 2>"$folder/errors" ||
    { tail -3 "$folder/events"; cat "$folder/errors"; fail "$recipe $*"; }
}

ssh-keygen -q -t ed25519 -N '' -f "$folder/key"
ssh-keygen -q -t ed25519 -N '' -f "$folder/host_key"
wide_port=$(free_port)
start_sshd wide "$wide_port" 'MaxStartups 1000'
narrow_port=$(free_port)
start_sshd narrow "$narrow_port" ''
echo "many $(cut -d' ' -f1,2 "$folder/host_key.pub")" >"$folder/known_hosts"
cat >"$folder/config" <<END
Host *
  HostKeyAlias many
  User $(id -un)
  IdentityFile $folder/key
  IdentitiesOnly yes
  UserKnownHostsFile $folder/known_hosts
Host name*
  HostName 127.0.0.1
Host bastion
  HostName 127.0.0.1
  Port $narrow_port
END

cat >"$folder/many.lua" <<END
-- As many addresses as were asked for, then what this process has come to.
return recipe {
  name = "many",
  params = { count = param.int { required = true }, port = param.int { required = true }, names = param.bool {},
    jump = param.string {} },
  run = function(p)
    local list = { port = p.port, jump = p.jump, config = "$folder/config", connect_timeout = 60 }
    for i = 1, p.count do
      list[i] = p.names and "name" .. i or ("127.0.%d.%d"):format((i - 1) // 250 + 1, (i - 1) % 250 + 1)
    end
    local web = hosts(list)
    local results = web:run({ "true" }, { max_fail = 0 })
    if #results.ok ~= p.count then fail("only " .. tostring(results)) end
    local here = host("local")
    log("process", here:read("grep -E '^(Threads|VmHWM|VmRSS):' /proc/\$PPID/status | tr -s '\t\n' ' '; "
      .. "echo files: \$(ls /proc/\$PPID/fd | wc -l)"))
  end,
}
END

echo "== $count addresses in one run"
run_it many count="$count" port="$wide_port"
expect wide "$count"
grep -o 'process [^"]*' "$folder/events" | tail -1 >"$folder/process"
python3 - "$count" "$folder/process" "$folder/events" <<'PY'
import json, re, sys
count, text = int(sys.argv[1]), open(sys.argv[2]).read()
seconds = [json.loads(line) for line in open(sys.argv[3])][-1]["seconds"]
number = lambda name: int(re.search(name + r": *(\d+)", text).group(1))
print(f"{count} hosts in {seconds:.1f} s (without the walk): peak {number('VmHWM') / count:.0f} KiB of memory, "
      f"{number('files') / count:.2f} files and {number('Threads') / count:.2f} threads a host")
assert number("files") <= 2 * count + 64, "files are not bounded"
assert number("Threads") <= count + 16, "threads are not bounded"
PY

echo "== 64 names for one address, MaxStartups 10:30:100"
run_it many count=64 port="$narrow_port" names=yes
expect narrow 64
forget narrow

echo "== 64 hosts through one bastion, MaxStartups 10:30:100"
forget wide
run_it many count=64 port="$wide_port" jump=bastion
expect narrow 64
expect wide 64

# dead.py accepts and stays silent on one port, and drops what wants to connect on another (a full queue); tells how
# many connections it accepted when it is asked to end.
cat >"$folder/dead.py" <<'END'
import signal, socket, sys
silent, full = socket.socket(), socket.socket()
silent.bind(("0.0.0.0", 0))
silent.listen(64)
full.bind(("0.0.0.0", 0))
full.listen(0)
held = [socket.socket() for _ in range(4)]
for one in held:
    one.setblocking(False)
    one.connect_ex(full.getsockname())
with open(sys.argv[1], "w") as ports:
    ports.write(f"{silent.getsockname()[1]} {full.getsockname()[1]}\n")
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
accepted = []
while True:
    accepted.append(silent.accept())
    with open(sys.argv[1] + ".accepted", "w") as count:
        count.write(f"{len(accepted)}\n")
END
python3 "$folder/dead.py" "$folder/dead" &
pids="$pids $!"
wait_for test -s "$folder/dead"
read -r silent_port full_port <"$folder/dead"

cat >"$folder/dead.lua" <<END
-- 64 hosts, the first ones dead; used three times.
return recipe {
  name = "dead",
  params = { dead = param.int { required = true } },
  run = function(p)
    local list = { config = "$folder/config", connect_timeout = 3 }
    for i = 1, 64 do
      local port = i > p.dead and $wide_port or i == p.dead and $silent_port or $full_port
      list[i] = { "127.0.2." .. i, port = port, name = "web" .. i }
    end
    local web = hosts(list):with { max_fail = p.dead }
    local before = web:read { "echo", "here" }
    local done = web:with({ batch = { 1, "50%" } }):run { "true" }
    local after = web:read { "echo", "still" }
    local good = 64 - p.dead
    if #before.ok ~= good or #done.ok ~= good or #done.failed ~= p.dead or done.web1.error.code ~= "ssh.timeout"
      or before.web64.value ~= "here" then fail("before: " .. tostring(before) .. "; done: " .. tostring(done)) end
    log("after:", after)
    local ok, err = pcall(function() web:run({ "true" }, { max_fail = p.dead - 1, batch = 8 }) end)
    if ok or err.code ~= "parallel.failed" or #err.results.skipped ~= good then fail("one dead too many went on") end
    log("refused:", err.message)
  end,
}
END

runs=0
for dead in 1 9; do
  runs=$((runs + 1))
  echo "== 64 hosts, $dead dead"
  forget wide
  run_it dead dead="$dead"
  expect wide $((64 - dead))
  grep -oE '"(after:|refused:)[^"]*' "$folder/events"
  asked=$(cat "$folder/dead.accepted")
  [ "$asked" = "$runs" ] || fail "the silent host was asked $asked times in $runs runs"
done
echo ok
