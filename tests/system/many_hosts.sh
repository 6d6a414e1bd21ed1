#!/bin/sh
# many_hosts.sh COUNT KIB - fan-out on a real sshd of its own on loopback, all of 127.0.0.0/8 being one machine:
#
#   COUNT addresses in one run: all answer, none is asked twice, memory, threads and files are told and bounded; the
#   second half of them takes no more memory than so many KiB a host
#   64 names for one address that has sshd's own MaxStartups: nobody is turned away
#   64 hosts through one bastion with the same MaxStartups
#   64 hosts of which 1, then 9 are dead: what the others did is kept, before the dead one's time is over, and a dead one
#   is asked once
#   8 hosts of which 1 dies while its command runs: what the others did is kept
set -eu
count=$1
bound=$2
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

# measure COUNT: a run with so many addresses; what the process had come to is in process.COUNT.
measure() {
  run_it many count="$1" port="$wide_port"
  expect wide "$1"
  forget wide
  grep -o 'process [^"]*' "$folder/events" | tail -1 >"$folder/process.$1"
}

echo "== $count addresses in one run, after half of them in another"
measure $((count / 2))
measure "$count"
python3 - "$count" "$folder/process.$count" "$folder/process.$((count / 2))" "$folder/events" "$bound" <<'PY'
import json, re, sys
count, text, half, bound = int(sys.argv[1]), open(sys.argv[2]).read(), open(sys.argv[3]).read(), int(sys.argv[5])
seconds = [json.loads(line) for line in open(sys.argv[4])][-1]["seconds"]
number = lambda name, where=text: int(re.search(name + r": *(\d+)", where).group(1))
more = (number("VmHWM") - number("VmHWM", half)) / (count - count // 2)
print(f"{count} hosts in {seconds:.1f} s (without the walk): peak {number('VmHWM') / count:.0f} KiB of memory, "
      f"{number('files') / count:.2f} files and {number('Threads') / count:.2f} threads a host; "
      f"each of the second half took {more:.0f} KiB")
assert number("files") <= 2 * count + 64, "files are not bounded"
assert number("Threads") <= count + 16, "threads are not bounded"
assert more <= bound, f"a host of the second half took {more:.0f} KiB, more than {bound}"
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
    local list = { config = "$folder/config", connect_timeout = 12 }
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

cat >"$folder/order.lua" <<END
-- 64 hosts, the first one silent, whose time is long enough for the slowest machine to ask the others.
return recipe {
  name = "order",
  run = function()
    local list = { config = "$folder/config", connect_timeout = 40 }
    for i = 1, 64 do list[i] = { "127.0.4." .. i, port = i == 1 and $silent_port or $wide_port, name = "web" .. i } end
    hosts(list):read({ "true" }, { max_fail = 1 })
  end,
}
END

echo "== 64 hosts, 1 dead: the others do not wait for it"
forget wide
all_in() { [ "$(grep -c 'Accepted publickey' "$folder/wide.log")" = 63 ]; }
"$DEPLOYRUN" "$folder/order.lua" --json >"$folder/events" 2>"$folder/errors" &
run=$!
pids="$pids $run"
tries=300
until all_in; do
  tries=$((tries - 1))
  [ "$tries" -gt 0 ] || fail "the others are not in: $(grep -c 'Accepted publickey' "$folder/wide.log") of 63"
  sleep 0.1
done
! grep -q '"op_failed"' "$folder/events" || fail "the others came after the dead one"
kill -INT "$run"
status=0
wait "$run" || status=$?
[ "$status" = 130 ] || fail "exit status $status"

cat >"$folder/dying.lua" <<END
return recipe {
  name = "dying",
  run = function()
    local list = { config = "$folder/config", port = $wide_port }
    for i = 1, 8 do list[i] = { "127.0.3." .. i, name = "web" .. i } end
    local results = hosts(list):run("set -- \$SSH_CONNECTION; echo \$PPID >'$folder/session.'\$3; "
      .. "until [ -e '$folder/go' ]; do sleep 0.1; done; echo done on \$3", { max_fail = 1, timeout = 120 })
    if host("local"):run({ "echo", "real" }).stdout ~= "real\\n" then return end -- the walk
    for i = 1, 8 do
      local one = results["web" .. i]
      if i == 3 then
        if not one.error or one.error.code ~= "ssh.connection_lost" then fail("web3: " .. tostring(results)) end
      elseif not one.value or one.value.stdout ~= "done on 127.0.3." .. i .. "\\n" then
        fail("web" .. i .. ": " .. tostring(results))
      end
    end
    log("failed:", results)
  end,
}
END

echo "== 8 hosts, 1 dies while its command runs"
all_run() { [ "$(find "$folder" -name 'session.*' -size +0 | wc -l)" = 8 ]; }
rm -f "$folder/go" "$folder"/session.*
"$DEPLOYRUN" "$folder/dying.lua" --json >"$folder/events" 2>"$folder/errors" &
run=$!
pids="$pids $run"
wait_for all_run
kill -KILL "$(cat "$folder/session.127.0.3.3")"
wait_for grep -q '"op_failed"' "$folder/events"
: >"$folder/go"
wait "$run" || { tail -3 "$folder/events"; cat "$folder/errors"; fail "the others' results were not kept"; }
grep -oE '"failed:[^"]*' "$folder/events"
echo ok
