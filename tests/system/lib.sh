# lib.sh - what the system tests share; sourced. Owns the stack of one test: brings it up, puts it under load, tells
# its state, and takes it down when the test ends, however it ends.
# shellcheck shell=sh

testbed=$DEPLOYRUN_SOURCE_DIR/tests/testbed
stack=$PWD/stack
load=

fail() { echo "FAILED: $*" >&2; exit 1; }
say() { printf '\n== %s\n' "$*"; }

tear_down() {
  [ -z "$load" ] || kill "$load" 2>/dev/null || true
  sh "$testbed/stack.sh" delete "$stack" >/dev/null 2>&1 || true
}

# bring_up: a fresh stack at version 1; sets url and project.
bring_up() {
  trap tear_down EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  sh "$testbed/stack.sh" delete "$stack" >/dev/null 2>&1 || true
  sh "$testbed/stack.sh" create "$stack" 1
  sh "$testbed/stack.sh" up "$stack"
  url=$(sh "$testbed/stack.sh" url "$stack")
  project=$(sh "$testbed/stack.sh" project "$stack")
}

# release VERSION [OPTION…]: something new to deploy.
release() { sh "$testbed/stack.sh" release "$stack" "$@"; }

# rolling [ARGUMENT…]: the recipe on the test's stack; sets status.
# shellcheck disable=SC2034,SC2120
rolling() {
  status=0
  "$DEPLOYRUN" rolling dir="$stack" health="$url/health/" version_url="$url/version" "$@" >run.out 2>&1 || status=$?
  cat run.out
}

# begin_load, end_load: 100 requests a second in between; the report is in load.json.
begin_load() {
  python3 "$testbed/load.py" "$url" >load.json &
  load=$!
}

end_load() {
  kill -INT "$load"
  wait "$load" || true
  load=
  cat load.json
}

# seen FIELD: a number of the load's report.
seen() { python3 -c 'import json, sys; print(json.load(open("load.json"))[sys.argv[1]])' "$1"; }

# served: the versions clients were answered by, in order.
served() { python3 -c 'import json; print(" ".join(sorted(json.load(open("load.json"))["versions"])))'; }

# state: what must be the same after a failed update: code, images, the containers of each service, the proxy's hosts,
# and the migrations that are applied.
state() {
  git -C "$stack" rev-parse HEAD
  git -C "$stack" status --short
  docker images --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}' | grep "^${project}_" | sort
  docker ps --quiet --filter "label=com.docker.compose.project=$project" |
    xargs docker inspect --format '{{index .Config.Labels "com.docker.compose.service"}} {{.Image}}' | sort
  docker exec "$(docker ps --quiet --filter "label=com.docker.compose.project=$project" \
    --filter label=com.docker.compose.service=nginx)" cat /etc/hosts
  sh "$testbed/stack.sh" sql "$stack" 'select app, name from django_migrations order by id'
}
