#!/bin/sh
# guide_steps.sh - the steps of the guides, as the calls of guide_steps.lua: the whole plan can be made, and its only
# commands are those of the application itself.
set -eu
fail() { echo "guide_steps.sh: $*" >&2; exit 1; }
mkdir -p stack shop
DOKPLOY_KEY=key-of-the-panel REGISTRY_PASSWORD=password-one ADMIN_PASSWORD=password-two
export DOKPLOY_KEY REGISTRY_PASSWORD ADMIN_PASSWORD
"$DEPLOYRUN" "$DEPLOYRUN_SOURCE_DIR/tests/bindings/guide_steps.lua" --dry-run --json >plan.jsonl || fail "$(cat plan.jsonl)"
grep '"op": *"target.run"' plan.jsonl | grep -v 'manage.py' >commands || true
[ "$(wc -l <commands)" -eq 1 ] || fail "a command where a binding should have been: $(cat commands)"
! grep -q 'password-one\|password-two\|key-of-the-panel' plan.jsonl || fail "the plan shows a secret"
for op in git.update systemd.restart compose.build docker.wait_healthy compose.up http.expect http.watch target.write \
  http.send docker.pull docker.env_file net.expect_port docker.oneoff docker.run notify.send git.tag git.push git.pull \
  target.sync http.certificate net.port; do
  grep -q "\"op\": *\"$op\"" plan.jsonl || fail "no step is $op"
done
