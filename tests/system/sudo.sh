#!/bin/sh
# sudo.sh - real sudo on a server with systemd and sshd: without and with a password, which is asked once and is seen
# nowhere; and each of its refusals by its own name. Four host names lead to the one server, each over a connection of
# its own.
set -eu
. "$DEPLOYRUN_SOURCE_DIR/tests/system/lib.sh"

vps=sudo-$$
password='open sesame 4711'
case_name=

tear_down_vps() { sh "$testbed/vps.sh" stop "$vps"; }
trap tear_down_vps EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
eval "$(sh "$testbed/vps.sh" start "$vps")"

inside() { docker exec --interactive "$VPS_CONTAINER" "$@"; }

# The users: `ubuntu` needs no password, `asked` does, `stranger` is not in sudoers, `tied` needs a terminal, `narrow` may
# only run id. /root/scan is run by PAM just after a password was typed, when it is in as many places as it ever is.
inside sh -eu <<END
for user in asked stranger tied narrow; do
  useradd --create-home --shell /bin/sh "\$user"
  echo "\$user:$password" | chpasswd
  install -d -m 700 -o "\$user" "/home/\$user/.ssh"
  install -m 600 -o "\$user" ~ubuntu/.ssh/authorized_keys "/home/\$user/.ssh/"
done
echo 'asked ALL=(ALL) ALL' >/etc/sudoers.d/asked
printf 'tied ALL=(ALL) NOPASSWD: ALL\nDefaults:tied requiretty\n' >/etc/sudoers.d/tied
echo 'narrow ALL=(root) NOPASSWD: /usr/bin/id' >/etc/sudoers.d/narrow
chmod 440 /etc/sudoers.d/*
printf '%s' '$password' >/root/password
cat >/root/scan <<'SCAN'
#!/bin/sh
echo scanned >>/root/scans
grep --text --quiet --no-messages --fixed-strings --file=/root/password /proc/[0-9]*/cmdline /proc/[0-9]*/environ &&
  echo seen >>/root/seen
exit 0
SCAN
chmod 700 /root/scan
sed -i 's/pam_unix.so nullok/& nodelay/' /etc/pam.d/common-auth
echo 'auth optional pam_exec.so seteuid quiet /root/scan' >>/etc/pam.d/sudo
END

cat >config <<END
Host h1 h2 h3 h4
  HostName 127.0.0.1
  HostKeyAlias server
  Port $VPS_PORT
  IdentityFile $VPS_KEY
  IdentitiesOnly yes
  UserKnownHostsFile $PWD/known_hosts
END
sed "s/^[^ ]* /server /" "$VPS_KNOWN_HOSTS" >known_hosts

# recipe LUA: what is done on each host `h` of p.hosts, one after the other or all at once.
recipe() {
  cat >recipe.lua <<END
return recipe {
  name = "sudo",
  params = { user = param.string { default = "asked" }, hosts = param.int { default = 1 },
    given = param.bool { default = false } },
  run = function(p)
    local hosts = {}
    for i = 1, p.hosts do
      hosts[i] = host { "h" .. i, config = "$PWD/config", user = p.user,
        sudo_password = p.given and secret("SUDO_PASSWORD") or nil }
    end
    parallel(hosts, function(h)
      $1
    end)
  end,
}
END
}

# expect WHAT STATUS [PATTERN…] -- COMMAND…: the command's exit status, and what its output must have in it.
expect() {
  case_name=$1 wanted=$2; shift 2
  : >patterns
  while [ "$1" != -- ]; do echo "$1" >>patterns; shift; done
  shift
  say "$case_name"
  got=0
  "$@" >out 2>&1 </dev/null || got=$?
  cat out >>everything
  [ "$got" = "$wanted" ] || { cat out; fail "$case_name: exit status $got, not $wanted"; }
  tr -s ' \r\n' '   ' <out >flat
  while read -r pattern; do
    grep -q -e "$pattern" flat || { cat out; fail "$case_name: \"$pattern\" is not said"; }
  done <patterns
}

# Without a terminal; on one, where the answers are typed; with the password from the recipe.
alone() { setsid "$DEPLOYRUN" recipe.lua "$@"; }
typing() { python3 "$DEPLOYRUN_SOURCE_DIR/tests/system/on_terminal.py" 'sudo password for' "$@"; }
given() { given_password=$1; shift; SUDO_PASSWORD=$given_password alone given=true "$@"; }
questions() { grep -o 'sudo password for' out | wc -l; }
failed_tries() { inside sh -c 'journalctl --quiet | grep -c "pam_unix(sudo:auth): authentication failure" || true'; }
asked_times() { [ "$(questions)" = "$1" ] || { cat out; fail "$case_name: asked $(questions) times, not $1"; }; }

: >everything
# A control: the scan finds a password that is where it must not be.
# shellcheck disable=SC2016
inside timeout 20 sh -c 'sh -c "sleep 20; true" "$(cat /root/password)" & until [ -e /root/seen ]; do /root/scan; done
  kill $!; rm /root/seen /root/scans' || fail "the scan sees nothing"

# ---------------------------------------------------------------------------------------------- without a password

recipe 'h:sudo():cd("/root"):run { "touch", "here" }
  log(h:sudo():read("id -un") .. h:as("narrow"):read("id -un"))'
expect 'nothing is asked where nothing needs to be' 0 rootnarrow -- alone user=ubuntu
inside test -e /root/here

# ------------------------------------------------------------------------------------------------- with a password

recipe 'h:run { "touch", "/tmp/too-early" }
  h:sudo():run { "id" }'
expect 'without a terminal the run ends before it begins' 1 'sudo.password' 'sudo_password =' NOPASSWD -- alone
inside test ! -e /tmp/too-early || fail "something was done before sudo was tried"

# shellcheck disable=SC2016
recipe 'local root = h:sudo()
  root:lock("deploy-" .. h:name())
  local words = root:cd("/etc"):env { TOKEN = secret("TOKEN"), OPEN = "a b" }
    :run({ "sh", "-c", "id -un; pwd; echo \"$TOKEN|$OPEN\" | rev; cat" }, { stdin = "first\nsecond" })
  log("[" .. words.stdout .. "]")
  log(h:as("ubuntu"):read("id -un"))
  log(root:run({ "sh", "-c", "cat >/dev/null; /root/scan; exit 7" }, { any_status = true }).status)'
export TOKEN=hush-hush-token
expect 'the password is asked once for all hosts' 0 '\[root /etc b a|nekot-hsuh-hsuh first second\]' ubuntu \
  -- typing "$password" -- "$DEPLOYRUN" recipe.lua hosts=4
asked_times 1
expect 'events, too, and a second run asks again' 0 -- typing "$password" -- "$DEPLOYRUN" --json recipe.lua hosts=2
asked_times 1
expect 'a recipe can give it' 0 '\[root /etc' -- given "$password" hosts=2
asked_times 0
inside test -s /root/scans || fail "PAM did not scan"
inside test ! -e /root/seen || fail "the password is in the arguments or the environment of a process"
# The walk before a run comes to all three at once: one tries it, the others wait for what comes of it.
recipe 'parallel({ 1, 2, 3 }, function() log(h:sudo():read("id -un")) end)'
expect 'strands that want sudo at once on one host take the one that the recipe gave' 0 root -- given "$password"

# shellcheck disable=SC2016
recipe 'local root = h:sudo()
  log("[" .. root:cd("/etc"):run({ "id" }).stdout .. "]")'
before=$(failed_tries)
expect 'a wrong answer is asked again and costs one try' 0 'That was not it on h[1-4]' \
  -- typing 'wrong one' "$password" -- "$DEPLOYRUN" recipe.lua hosts=4
asked_times 2
[ $(($(failed_tries) - before)) = 1 ] || fail "one wrong answer cost $(($(failed_tries) - before)) tries"
expect 'three wrong answers are enough' 1 'sudo.password' 'did not accept' \
  -- typing wrong1 wrong2 wrong3 "$password" -- "$DEPLOYRUN" recipe.lua
asked_times 3
before=$(failed_tries)
expect 'a wrong one of the recipe is not asked again' 1 'sudo.password' 'did not accept' -- given 'wrong one'
[ $(($(failed_tries) - before)) = 1 ] || fail "a wrong password cost $(($(failed_tries) - before)) tries"
expect 'nobody is asked twice who gives no answer' 1 'sudo.password' -- typing '' -- "$DEPLOYRUN" recipe.lua hosts=4
asked_times 1
expect 'a password of three letters is refused' 1 'secret.short' -- typing abc -- "$DEPLOYRUN" recipe.lua
expect 'Ctrl-C at the question ends the run' 130 -- typing -- "$DEPLOYRUN" recipe.lua hosts=4

recipe 'h:sudo():run({ "id" }, { pty = true })'
expect 'a terminal gets no password' 1 'sudo.password' 'pty = true' -- given "$password"

# ------------------------------------------------------------------------------------------------------- refusals

recipe 'log(h:sudo():read("id -un"))'
expect 'not in sudoers' 1 'sudo.refused' 'check = false' -- given "$password" user=stranger
expect 'requiretty' 1 'sudo.terminal' '!requiretty' -- alone user=tied
recipe 'log(h:sudo(nil, { check = false }):run("id -un", { pty = true }).stdout)'
expect 'requiretty is content with a terminal' 0 root -- alone user=tied
recipe 'h:as("nobody-there"):run { "id" }'
expect 'no such user' 1 'sudo.no_such_user' 'nobody-there' -- alone user=ubuntu

recipe 'log(h:sudo(nil, { check = false }):run({ "id" }).stdout)'
expect 'single commands can be allowed' 0 'uid=0' -- alone user=narrow
recipe 'h:sudo():run({ "id" })'
expect 'with the check it is not enough' 1 'sudo.refused' -- given "$password" user=narrow
recipe 'h:sudo(nil, { check = false }):run({ "touch", "/root/x" })'
expect 'another command is refused' 1 'sudo.refused' -- given "$password" user=narrow

# The words of an inner sudo are not taken for those of the outer one: the command had begun.
recipe 'h:as("asked"):run("echo begun >>/tmp/begun; sudo -n true")'
expect 'a script whose own sudo is refused is not run again' 1 -- alone user=ubuntu
[ "$(inside sh -c 'wc -l </tmp/begun')" = 1 ] || fail "it ran twice"

recipe 'h:sudo():run("kill -KILL $$")'
expect 'a signal behind sudo' 1 'command.signal' KILL -- alone user=ubuntu
expect 'a signal behind sudo with a password' 1 'command.signal' KILL -- given "$password"
recipe 'h:sudo():run { "no-such-program" }'
expect 'a missing program behind sudo' 1 'command.not_found' 'no-such-program' -- alone user=ubuntu

inside mv /usr/bin/sudo /usr/bin/sudo-away
recipe 'h:sudo():run { "id" }'
expect 'no sudo' 1 'sudo.missing' -- alone user=ubuntu
inside mv /usr/bin/sudo-away /usr/bin/sudo

# --------------------------------------------------------------------------------------------- the password is nowhere

say 'the password is in no output, no event and no journal'
! grep -r -l -F -e "$password" everything state recipe.lua || fail "the password was written down"
! grep -r -l -F -e "$TOKEN" everything state || fail "the secret was written down"
