#!/bin/sh
# Owns the sample application of the system tests (Django api, celery, celery-beat, PostgreSQL, Redis, nginx, as one
# compose project) in as many copies as a test wants, each in a folder of its own.
#
#   stack.sh create DIR VERSION [--variant V] [--owner USER]   DIR.git (bare origin, branch main), DIR (its checkout)
#   stack.sh release DIR VERSION [--variant V]                 pushes a new version to the origin; DIR is not touched
#   stack.sh up DIR        builds what is checked out, migrates, starts it, waits until everything really works
#   stack.sh down DIR      removes its containers, volumes, networks and images; DIR stays
#   stack.sh delete DIR    down, then removes DIR and DIR.git
#   stack.sh url DIR       prints http://127.0.0.1:PORT
#   stack.sh project DIR   prints the compose project's name
#   stack.sh sql DIR QUERY runs one query in its database, unaligned output
#
# Version 1 is the first schema; from version 2 on the code needs a column that migration 0002 adds (nullable, so the
# old code goes on working). Variants:
#   good          works
#   crash         api dies when gunicorn imports it (manage.py and celery work)
#   http500       starts; /health/ and /api/ answer 500
#   badmigration  its last migration fails (version 2 and later)
#   addfield      its last migration adds a NOT NULL column with a default, as Django does it (version 2 and later)
#   dies          celery ends by itself some seconds after it has started
#   badproxy      nginx refuses its configuration
#   fixed-name    api has a container_name, so that there can be only one of it
#   bind-mount    api, celery and celery-beat run the code of the checkout, not of the image
# Project name and port come from the folder's path and are kept in DIR/.env, which is not in git.
set -eu
umask 022
prog=stack
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

usage() { usage_error "usage: stack.sh create|release|up|down|delete|url|project|sql DIR … (its first lines explain)"; }

setting() { sed -n "s/^$1=//p" "$dir/.env"; }

known_stack() {
  [ -f "$dir/.env" ] || die "$dir is not a stack (stack.sh create)"
  project=$(setting COMPOSE_PROJECT_NAME)
  port=$(setting HTTP_PORT)
}

# --- the source of a version -------------------------------------------------------------------------------------

# write_version TREE VERSION VARIANT: make TREE hold exactly that version's source.
write_version() {
  cp -R "$here/stack/app/." "$1"
  if [ "$2" -ge 2 ]; then cp -R "$here/stack/schema2/." "$1"; fi
  if [ -d "$here/stack/variants/$3" ]; then cp -R "$here/stack/variants/$3/." "$1"; fi
  case $3 in
    dies) sed -i 's|command: .*"worker".*|command: ["sh", "-c", "sleep 4; exit 1"]|' "$1/docker-compose.yml" ;;
    badproxy) echo 'nonsense on;' >>"$1/nginx/tours.conf" ;;
    fixed-name) add_to_services "$1" 'api' "    container_name: \${COMPOSE_PROJECT_NAME}-web" ;;
    bind-mount) sed -i 's|^    - static:/srv/static$|&\n    - .:/app:ro|' "$1/docker-compose.yml" ;;
  esac
  echo "$2" >"$1/VERSION"
  echo "$2" >"$1/static/version.txt"
}

# add_to_services TREE SERVICE LINE
add_to_services() { sed -i "s|^  $2:\$|&\n$3|" "$1/docker-compose.yml"; }

check_version() {
  case $version in '' | *[!0-9]* | 0) usage_error "a version is a number from 1 up, not '$version'" ;; esac
  case $variant in
    good | crash | http500 | badproxy | dies | fixed-name | bind-mount) ;;
    badmigration | addfield) [ "$version" -ge 2 ] || usage_error "$variant needs version 2 or later" ;;
    *) usage_error "unknown variant '$variant'" ;;
  esac
}

# git with settings of its own: whose machine this is must not matter, nor who owns the folders.
git_alone() { GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL="$stacks/gitconfig" git "$@"; }

# write_git_settings: by rename, as another script may be reading them.
write_git_settings() {
  printf '%s\n' '[user]' 'name = Tours team' 'email = team@example.test' '[safe]' 'directory = *' \
    >"$stacks/gitconfig.$$"
  mv "$stacks/gitconfig.$$" "$stacks/gitconfig"
}

# commit_version ORIGIN: push $version, $variant as one commit to the origin's main.
commit_version() {
  tree=$(mktemp -d "$stacks/tree.XXXXXX")
  trap 'rm -rf "$tree"' EXIT
  git_alone clone --quiet "$1" "$tree" 2>/dev/null
  git_alone -C "$tree" symbolic-ref HEAD refs/heads/main
  git_alone -C "$tree" rm -r --quiet --ignore-unmatch .
  write_version "$tree" "$version" "$variant"
  git_alone -C "$tree" add --all
  git_alone -C "$tree" commit --quiet --allow-empty -m "Version $version ($variant)"
  git_alone -C "$tree" push --quiet origin main
}

# --- create, release ---------------------------------------------------------------------------------------------

# port_free PORT: nothing listens on it, and no other stack was promised it. Stacks whose folder is gone are forgotten.
port_free() {
  for other in "$stacks"/*.stack; do
    [ -e "$other" ] || continue
    if [ ! -e "$(sed -n 2p "$other")/.env" ]; then rm -f "$other"; continue; fi
    [ "$(sed -n 1p "$other")" != "$1" ] || return 1
  done
  ! ss -Hltn "sport = :$1" | grep -q .
}

# choose_port: the path decides where the search begins, so that a stack made again keeps its port when it can.
choose_port() {
  port=$((20000 + $(printf '%d' "0x$digest") % 10000))
  tries=0
  until port_free "$port"; do
    tries=$((tries + 1))
    [ "$tries" -lt 1000 ] || die "no free port found"
    port=$((20000 + (port - 19999) % 10000))
  done
}

create() {
  need git git
  need ss iproute2
  check_version
  if [ -e "$dir" ] || [ -e "$dir.git" ]; then die "$dir or $dir.git exists already"; fi
  if [ -n "$owner" ]; then id "$owner" >/dev/null || die "there is no user $owner"; fi
  lock_state stacks
  write_git_settings
  digest=$(printf '%s' "$dir" | sha256sum | cut -c1-6)
  project=$(basename "$dir" | tr '[:upper:]' '[:lower:]' | tr -cd 'a-z0-9-')-$digest
  choose_port
  mkdir -p "$(dirname "$dir")"
  git_alone init --quiet --bare --initial-branch main "$dir.git"
  commit_version "$dir.git"
  git_alone clone --quiet "$dir.git" "$dir"
  printf 'COMPOSE_PROJECT_NAME=%s\nHTTP_PORT=%s\nSECRET_KEY=%s\nPOSTGRES_PASSWORD=%s\n' \
    "$project" "$port" "test-key-$digest" "test-password-$digest" >"$dir/.env"
  chmod 600 "$dir/.env"
  printf '%s\n%s\n' "$port" "$dir" >"$stacks/$project.stack"
  if [ -n "$owner" ]; then chown -R "$owner:" "$dir" "$dir.git"; fi
}

release() {
  need git git
  known_stack
  check_version
  write_git_settings
  commit_version "$dir.git"
  chown -R --reference="$dir.git" "$dir.git"
}

# --- up, down ----------------------------------------------------------------------------------------------------

in_project() { compose --project-directory "$dir" --env-file "$dir/.env" --file "$dir/docker-compose.yml" "$@"; }

# quietly WHAT COMMAND...: the command's output is shown only when it fails.
quietly() {
  what=$1; shift
  if ! "$@" >"$stacks/$project.log" 2>&1; then
    tail -n 20 "$stacks/$project.log" >&2
    die "$project: $what failed"
  fi
}

container_of() {
  docker ps --quiet --filter "label=com.docker.compose.project=$project" \
    --filter "label=com.docker.compose.service=$1" --filter label=com.docker.compose.oneoff=False | head -n 1
}

sql() { docker exec "$(container_of db)" psql --username=tours --dbname=tours --no-align --tuples-only --command="$1"; }

state_of_api() {
  docker inspect --format '{{.State.Health.Status}} {{.RestartCount}}' "$(container_of api)" 2>/dev/null || true
}
api_is_healthy() { [ "$(state_of_api)" = 'healthy 0' ]; }

# api_settled: healthy, or ended once. On a machine that is busy it is unhealthy at first, and healthy later.
api_settled() {
  case $(state_of_api) in '' | *' 0') api_is_healthy ;; esac
}

answers() { curl -fsS -o /dev/null -m 5 "http://127.0.0.1:$port$1" 2>/dev/null; }
beat_ticks() { [ "$(sql "SELECT count(*) FROM tours_tick WHERE at > now() - interval '3 seconds'" 2>/dev/null)" -gt 0 ]; }

not_so() {
  in_project ps >&2 || true
  in_project logs --no-color --tail 10 api nginx celery celery-beat >&2 || true
  die "$project did not come up: $1"
}

# must WHAT COMMAND...: wait until it succeeds, with a bound.
must() {
  what=$1; shift
  wait_for 120 "$@" 2>/dev/null || not_so "$what for 120 s"
}

up() {
  known_stack
  need curl curl
  need_engine
  docker image inspect deployrun-test/base:1 >/dev/null 2>&1 || sh "$here/images.sh" build
  quietly "build" in_project build
  quietly "migrate and collect static files" in_project run --rm api \
    sh -c 'python3 manage.py migrate --noinput && python3 manage.py collectstatic --noinput'
  quietly "start" in_project up --detach
  must "api was not healthy" api_settled
  api_is_healthy || not_so "api ended and was started again"
  must "nginx passed no request on" answers /health/
  must "celery and celery-beat did no work" beat_ticks
}

# down: by label, so that what a killed run left behind and the compose file no longer names goes too.
down() {
  known_stack
  need_engine
  label=com.docker.compose.project=$project
  docker ps --all --quiet --filter "label=$label" | xargs -r docker rm --force --volumes >/dev/null
  docker network ls --quiet --filter "label=$label" | xargs -r docker network rm >/dev/null
  docker volume ls --quiet --filter "label=$label" | xargs -r docker volume rm --force >/dev/null
  docker images --all --quiet --filter "label=deployrun.test.project=$project" | sort -u |
    xargs -r docker rmi --force >/dev/null
}

delete() {
  down
  rm -rf "$dir" "$dir.git" "$stacks/$project.stack" "$stacks/$project.log"
}

# --- command line ------------------------------------------------------------------------------------------------

[ $# -ge 2 ] || usage
verb=$1
if [ "$verb" = create ]; then mkdir -p "$(dirname "$2")"; fi
[ -d "$(dirname "$2")" ] || die "$2 is not a stack (stack.sh create)"
dir=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
shift 2
variant=good owner='' version='' query=''
case $verb in
  create | release) [ $# -gt 0 ] || usage; version=$1; shift ;;
  sql) [ $# -gt 0 ] || usage; query=$1; shift ;;
esac
while [ $# -gt 0 ]; do
  case $1 in
    --variant) [ $# -gt 1 ] || usage; variant=$2; shift 2 ;;
    --owner) [ $# -gt 1 ] || usage; owner=$2; shift 2 ;;
    *) usage ;;
  esac
done
stacks=$(state_folder stacks)

case $verb in
  create) create ;;
  release) release ;;
  up) up ;;
  down) down ;;
  delete) delete ;;
  url) known_stack; echo "http://127.0.0.1:$port" ;;
  project) known_stack; echo "$project" ;;
  sql) known_stack; sql "$query" ;;
  *) usage ;;
esac
