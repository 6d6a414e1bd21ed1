#!/bin/sh
# compose.sh - the verbs of a stack (compose.lua), and compose files that are wrong: refused in the walk, by file and
# line, before anything is done.
set -eu
fail() { echo "compose.sh: $*" >&2; exit 1; }

mkdir -p stack wrong
cat >stack/docker-compose.yml <<'END'
version: "2.4"
services:
  api:
    image: deployrun-composespec/api:now
    init: true
    stop_grace_period: 1s
    command: ["sh", "-c", "echo version $$(cat /version); sleep 1000"]
  polite:
    image: deployrun-composespec/api:now
    command: ["sh", "-c", "trap 'echo told to end; exit 0' TERM; echo ready; while :; do sleep 0.1; done"]
  worker:
    image: deployrun-composespec/api:now
    init: true
    command: ["sleep", "1000"]
volumes:
  media: {}
END

cat >stack/api.env <<'END'
PASSWORD=pa$word-1
NAME='Let\'s go!'
FROM_OUTSIDE
END

mkdir -p built
cat >built/docker-compose.yml <<'END'
version: "2.4"
services:
  app:
    build: .
    image: deployrun-composespec/built:now
END
cat >built/Dockerfile <<'END'
FROM deployrun-test/base:1
ARG WORD=none
RUN echo "$WORD" >/word && cat /proc/sys/kernel/random/uuid >/once
END

cat >wrong.lua <<'LUA'
return recipe { name = "wrong", run = function()
  local here = host("local")
  here:docker():tag("deployrun-test/base:1", "deployrun-composespec/acted:1")
  here:compose { dir = "wrong" }:up()
end }
LUA

# refused CODE WORDS: the run with what is in wrong/ ends with the error and has done nothing.
refused() {
  status=0
  "$DEPLOYRUN" wrong.lua >wrong.out 2>&1 || status=$?
  [ $status -eq 1 ] || fail "exit status $status: $(cat wrong.out)"
  grep -q "$1" wrong.out || fail "no $1: $(cat wrong.out)"
  grep -q "$2" wrong.out || fail "it does not say '$2': $(cat wrong.out)"
  ! docker image inspect deployrun-composespec/acted:1 >/dev/null 2>&1 || fail "something was done before"
}

rm -f wrong/docker-compose.yml
refused compose.file "is the folder right"
refused compose.file "there is no compose file docker-compose.yml in .*/wrong"
printf 'services:\n  api:\n    image: x\n   worker: y\n' >wrong/docker-compose.yml
refused compose.invalid "the compose file .*docker-compose.yml, line 4 is wrong"
printf 'version: "2.4"\nservices:\n  api:\n    imag: x\n' >wrong/docker-compose.yml
refused compose.invalid "the compose file .*docker-compose.yml is wrong: .*imag"
# shellcheck disable=SC2016 # compose's own $
printf 'version: "2.4"\nservices:\n  api:\n    image: ${MISSING_TAG:?must be set}\n' >wrong/docker-compose.yml
refused compose.invalid MISSING_TAG

"$DEPLOYRUN" "$DEPLOYRUN_SOURCE_DIR/tests/bindings/compose.lua"
