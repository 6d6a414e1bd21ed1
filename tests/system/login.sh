#!/bin/sh
# login.sh - every way to log in, on real servers: OpenSSH with PAM (password, keyboard-interactive, user certificates by
# file and by agent, host certificates) and dropbear (password), in a container with systemd.
set -eu
. "$DEPLOYRUN_SOURCE_DIR/tests/system/lib.sh"

vps=login-$$
password='open sesame 4711'
agent=

tear_down_vps() {
  [ -z "$agent" ] || kill "$agent" 2>/dev/null || true
  sh "$testbed/vps.sh" stop "$vps"
}
trap tear_down_vps EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
eval "$(sh "$testbed/vps.sh" start "$vps")"

inside() { docker exec --interactive "$VPS_CONTAINER" "$@"; }

rm -rf keys && mkdir -m 700 keys
for key in user_ca host_ca certified strange; do ssh-keygen -q -t ed25519 -N '' -f "keys/$key"; done
ssh-keygen -q -s keys/user_ca -I tester -n ubuntu keys/certified.pub

inside sh -eu <<END
echo 'ubuntu:$password' | chpasswd
sed -i 's/pam_unix.so nullok/& nodelay/' /etc/pam.d/common-auth
echo '$(cat keys/user_ca.pub)' >/etc/ssh/user_ca.pub
echo 'TrustedUserCAKeys /etc/ssh/user_ca.pub' >/etc/ssh/sshd_config.d/authority.conf
END

# sshd_takes METHOD…: the server's methods of logging in, and no other.
sshd_takes() {
  { for method in PasswordAuthentication KbdInteractiveAuthentication PubkeyAuthentication; do
      case " $* " in *" $method "*) echo "$method yes" ;; *) echo "$method no" ;; esac
    done; } | inside sh -c 'cat >/etc/ssh/sshd_config.d/methods.conf; rm -f /etc/ssh/sshd_config.d/test.conf
    systemctl restart ssh.service; until ss -ltn | grep -q ":22 "; do sleep 0.1; done'
}

# recipe OPTIONS: logs in on two names of the server and says who it is there.
recipe() {
  cat >recipe.lua <<END
return recipe {
  name = "login",
  run = function()
    parallel({ "s1", "s2" }, function(name)
      log(host { name, config = "$PWD/config", $1 }:read("echo in as \$(id -un)"))
    end)
  end,
}
END
}

# config LINES: the client's configuration of both names.
config() {
  cat >config <<END
Host s1 s2
  HostName 127.0.0.1
  HostKeyAlias server
  Port ${port:-$VPS_PORT}
  User ubuntu
  UserKnownHostsFile $PWD/known_hosts
$1
END
}
sed "s/^[^ ]* /server /" "$VPS_KNOWN_HOSTS" >known_hosts

# expect WHAT STATUS PATTERN -- COMMAND…
expect() {
  what=$1 wanted=$2 pattern=$3; shift 4
  say "$what"
  got=0
  "$@" >out 2>&1 </dev/null || got=$?
  cat out >>everything
  [ "$got" = "$wanted" ] || { cat out; fail "$what: exit status $got, not $wanted"; }
  tr -s ' \r\n' '   ' <out | grep -q -e "$pattern" || { cat out; fail "$what: \"$pattern\" is not said"; }
}
alone() { setsid "$DEPLOYRUN" recipe.lua; }
typing() { python3 "$DEPLOYRUN_SOURCE_DIR/tests/system/on_terminal.py" "$@" -- "$DEPLOYRUN" recipe.lua; }
asked_times() { [ "$(grep -o "$2" out | wc -l)" = "$1" ] || { cat out; fail "not asked $1 times for $2"; }; }
: >everything
export SSH_PASSWORD="$password"
unset SSH_AUTH_SOCK

# ------------------------------------------------------------------------------------------- passwords and prompts

password_ways() { # NAME PROMPT
  recipe 'password = secret("SSH_PASSWORD")'
  expect "$1: from the recipe" 0 'in as ubuntu' -- alone
  SSH_PASSWORD='wrong one' expect "$1: a wrong one from the recipe" 1 'ssh.auth' -- alone
  recipe 'ask_password = true'
  expect "$1: asked for once, for both connections" 0 'in as ubuntu' -- typing "$2" "$password"
  asked_times 1 "$2"
  expect "$1: wrong, then right" 0 'in as ubuntu' -- typing "$2" 'wrong one' "$password"
  asked_times 2 "$2"
  expect "$1: nobody to ask" 1 'ssh.auth' -- alone
  recipe ''
  expect "$1: not configured, not asked" 1 'ssh.auth' -- typing "$2" "$password"
  asked_times 0 "$2"
}

config '  IdentityFile none'
sshd_takes PasswordAuthentication
password_ways 'password of OpenSSH' '[Pp]assword:'
sshd_takes KbdInteractiveAuthentication
password_ways 'keyboard-interactive of OpenSSH with PAM' '[Pp]assword:'

# ---------------------------------------------------------------------------------------------------- certificates

sshd_takes PubkeyAuthentication
recipe ''
config "  IdentityFile $PWD/keys/certified
  IdentitiesOnly yes"
expect 'a certificate beside its key' 0 'in as ubuntu' -- alone
mkdir elsewhere 2>/dev/null || true
mv keys/certified-cert.pub elsewhere/user-cert.pub
expect 'the key alone is nothing' 1 'ssh.auth' -- alone
config "  IdentityFile $PWD/keys/certified
  IdentitiesOnly yes
  CertificateFile $PWD/elsewhere/user-cert.pub"
expect 'a certificate named by CertificateFile' 0 'in as ubuntu' -- alone
ssh-keygen -q -s keys/strange -I stranger -n ubuntu -f keys/certified.pub 2>/dev/null ||
  ssh-keygen -q -s keys/strange -I stranger -n ubuntu keys/certified.pub
config "  IdentityFile $PWD/keys/certified
  IdentitiesOnly yes"
expect 'a certificate of another authority' 1 'ssh.auth' -- alone

mv elsewhere/user-cert.pub keys/certified-cert.pub
ssh-agent -D -a "$PWD/agent.sock" >agent.log & agent=$!
until [ -S agent.sock ]; do sleep 0.05; done
SSH_AUTH_SOCK=$PWD/agent.sock ssh-add -q keys/certified 2>/dev/null
mv keys/certified keys/certified.away
mv keys/certified-cert.pub keys/certified-cert.away
config "  IdentityAgent $PWD/agent.sock"
expect 'a certificate that only the agent has' 0 'in as ubuntu' -- alone

# ----------------------------------------------------------------------------------------------- host certificates

inside cat /etc/ssh/ssh_host_ed25519_key.pub >keys/host.pub
ssh-keygen -q -s keys/host_ca -I server -h -n server keys/host.pub
inside sh -c 'cat >/etc/ssh/host-cert.pub' <keys/host-cert.pub
inside sh -c 'echo "HostCertificate /etc/ssh/host-cert.pub" >>/etc/ssh/sshd_config.d/authority.conf'
sshd_takes PubkeyAuthentication
echo "@cert-authority server $(cut -d' ' -f1,2 keys/host_ca.pub)" >known_hosts
expect 'a host that only an authority knows' 1 'certificate authority only' -- alone
ssh -F config -o BatchMode=yes -o StrictHostKeyChecking=yes s1 true || fail "OpenSSH itself does not take the certificate"
say 'what its hint says helps'
sed -n '/^ *Hint/,/^ *Op /p' out | sed '$d; s/^ *Hint//; s/^ *//' | tr '\n' ' ' >hint
sed 's/.*own key: //; s/  */ /g' hint | sed "s#ssh s[12]#ssh -F $PWD/config -o BatchMode=yes s1#" >hint.sh
sh hint.sh || { cat hint.sh; fail "the command of the hint fails"; }
expect 'then it is known' 0 'in as ubuntu' -- alone

# ----------------------------------------------------------------------------------------------------------- dropbear

if command -v dropbear >/dev/null; then
  inside systemctl stop ssh.service ssh.socket 2>/dev/null || true
  # shellcheck disable=SC2046
  tar -ch "$(command -v dropbear)" $(ldd "$(command -v dropbear)" | sed -n 's/.*=> \(.*\/lib\(tom\|crypt\|z\)[^ ]*\) .*/\1/p') \
    2>/dev/null | inside tar -x -C / --skip-old-files
  inside sh -c 'mkdir -p /etc/dropbear && dropbear -R -p 22 -E 2>/tmp/dropbear.log'
  ssh-keyscan -t ed25519 -p "$VPS_PORT" 127.0.0.1 2>/dev/null | sed 's/^[^ ]* /server /' >known_hosts
  config '  IdentityFile none'
  password_ways 'password of dropbear' '[Pp]assword:'
fi

say 'the password is in no output and no journal'
! grep -r -l -F -e "$password" everything state recipe.lua || fail "the password was written down"
