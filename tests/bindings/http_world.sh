#!/bin/sh
# http_world.sh - real servers for the HTTP specs, then the specs: nginx with good and bad certificates, a server
# with the faults a real one can have (http_odd.py), sshd to ask through. All on free ports of 127.0.0.1, all ended
# with this script.
#
#   http_world.sh SPEC.lua...
set -eu
here=$(dirname "$0")
rm -rf world && mkdir world && cd world
world=$PWD
pids=
# shellcheck disable=SC2086 # a list of process ids
trap '[ -z "$pids" ] || kill $pids 2>/dev/null || true' EXIT
trap 'exit 1' INT TERM HUP

fail() { echo "http_world.sh: $*" >&2; exit 1; }

# until_true WHAT COMMAND...: waits at most 15 s for the command to succeed.
until_true() {
  what=$1
  shift
  tries=300
  until "$@" >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || fail "$what did not come up: $(tail -n 5 ./*.log 2>/dev/null)"
    sleep 0.05
  done
}

free_ports() {
  python3 -c 'import socket, sys
all = [socket.socket() for _ in range(int(sys.argv[1]))]
for one in all: one.bind(("127.0.0.1", 0))
print(*[one.getsockname()[1] for one in all])' "$1"
}

# ---------------------------------------------------------------------------------- certificates

cat >ca.cnf <<'CNF'
[ca]
default_ca = own
[own]
new_certs_dir = .
database = index.txt
serial = serial
default_md = sha256
policy = any
email_in_dn = no
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
CNF
: >index.txt
echo 01 >serial
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj '/CN=Test Authority' -keyout ca.key -out ca.pem 2>/dev/null

# certificate NAME COMMON-NAME START END: NAME.pem and NAME.key, signed by the authority.
certificate() {
  openssl req -new -newkey rsa:2048 -nodes -subj "/CN=$2" -addext "subjectAltName=DNS:$2,DNS:www.$2" \
    -keyout "$1.key" -out "$1.csr" 2>/dev/null
  openssl ca -batch -notext -config ca.cnf -cert ca.pem -keyfile ca.key -startdate "$3" -enddate "$4" \
    -in "$1.csr" -out "$1.pem" 2>ca.log || fail "$(cat ca.log)"
}
soon=$(date -u -d '+40 days +1 hour' +%Y%m%d%H%M%SZ)
yesterday=$(date -u -d '-1 day' +%Y%m%d%H%M%SZ)
certificate good localhost "$yesterday" "$soon"
certificate expired localhost "$(date -u -d '-60 days' +%Y%m%d%H%M%SZ)" "$yesterday"
certificate wrong other.example "$yesterday" "$soon"
openssl req -x509 -newkey rsa:2048 -nodes -days 5 -subj '/CN=localhost' -addext 'subjectAltName=DNS:localhost' \
  -keyout self.key -out self.pem 2>/dev/null

# ---------------------------------------------------------------------------------- servers

# shellcheck disable=SC2046 # a list of numbers
set -- "$@" -- $(free_ports 6)
specs=
while [ "$1" != -- ]; do
  specs="$specs $1"
  shift
done
shift
good=$1 expired=$2 wrong=$3 self=$4 ssh=$5 plain=$6

site() {
  cat <<CONF
  server { listen 127.0.0.1:$2 ssl; ssl_certificate $world/$1.pem; ssl_certificate_key $world/$1.key;
    location = /moved { return 302 http://localhost:$plain/here; } location / { return 200 'secure\n'; } }
CONF
}
cat >nginx.conf <<CONF
daemon off; pid $world/nginx.pid; error_log $world/nginx.log; worker_processes 1;
events {}
http {
  access_log off; client_body_temp_path $world/t1; proxy_temp_path $world/t2; fastcgi_temp_path $world/t3;
  uwsgi_temp_path $world/t4; scgi_temp_path $world/t5;
  server { listen 127.0.0.1:$plain; location = /here { return 200 'here\n'; }
    location = /up { return 301 https://localhost:$good/; } }
  $(site good "$good") $(site expired "$expired") $(site wrong "$wrong") $(site self "$self")
}
CONF
nginx -c "$world/nginx.conf" -p "$world" -e "$world/nginx.log" &
pids="$pids $!"
python3 "$here/http_odd.py" "$world/odd" >odd.log 2>&1 &
pids="$pids $!"

ssh-keygen -q -t ed25519 -N '' -f host_key
ssh-keygen -q -t ed25519 -N '' -f key
cp key.pub authorized
[ "$(id -u)" != 0 ] || mkdir -p /run/sshd
cat >sshd.conf <<CONF
ListenAddress 127.0.0.1
Port $ssh
HostKey $world/host_key
PidFile none
AuthorizedKeysFile $world/authorized
PermitRootLogin yes
StrictModes no
UsePAM no
SetEnv HOME=$world
MaxSessions 100
CONF
/usr/sbin/sshd -D -e -f "$world/sshd.conf" 2>sshd.log &
pids="$pids $!"
echo "[127.0.0.1]:$ssh $(cut -d' ' -f1,2 host_key.pub)" >known_hosts
cat >ssh_config <<CONF
Host host1
  HostName 127.0.0.1
  Port $ssh
  User $(id -un)
  IdentityFile $world/key
  IdentitiesOnly yes
  UserKnownHostsFile $world/known_hosts
CONF

until_true nginx python3 -c "import socket; [socket.create_connection(('127.0.0.1', p)) for p in ($good, $plain)]"
until_true "the odd server" test -s odd.port
until_true sshd python3 -c "import socket; socket.create_connection(('127.0.0.1', $ssh))"

export WORLD="$world" WORLD_CA="$world/ca.pem" WORLD_GOOD="$good" WORLD_EXPIRED="$expired" WORLD_WRONG="$wrong" \
  WORLD_SELF="$self" WORLD_SSH="$ssh" WORLD_PLAIN="$plain"
WORLD_ODD=http://127.0.0.1:$(cat odd.port)
WORLD_MUTE=$(cat odd.mute)
export WORLD_ODD WORLD_MUTE CHECKS_KEY=checks-key-7654321

# ---------------------------------------------------------------------------------- the specs

for spec in $specs; do
  case $spec in
    *.sh) sh "$here/$spec" ;;
    *)
      "$DEPLOYRUN" "$here/$spec" >"$spec.out" 2>&1 || fail "$spec from this machine: $(cat "$spec.out")"
      SPEC_SSH_CONFIG=$world/ssh_config "$DEPLOYRUN" "$here/$spec" >"$spec.out" 2>&1 ||
        fail "$spec through SSH: $(cat "$spec.out")"
      ;;
  esac
done
