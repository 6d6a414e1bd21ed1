#!/bin/sh
# dry_run.sh - a dry run changes nothing: the recipe is walked under strace on a real stack, and the Engine, the files,
# git and the database are the same before and after. Its child processes are those of queries.
set -eu
# shellcheck source=tests/system/lib.sh
. "$DEPLOYRUN_SOURCE_DIR/tests/system/lib.sh"

bring_up
release 2

# world: everything a dry run could have touched, ids and times included.
world() {
  docker ps --all --no-trunc --format '{{.ID}} {{.Names}} {{.State}} {{.CreatedAt}}' | sort
  docker images --all --no-trunc --format '{{.Repository}} {{.Tag}} {{.ID}}' | sort
  docker volume ls --format '{{.Name}}' | sort
  docker network ls --no-trunc --format '{{.ID}} {{.Name}}' | sort
  find "$stack" ! -path '*/.git/index' -printf '%p %m %s %T@\n' | sort
  git -C "$stack" for-each-ref
  sh "$testbed/stack.sh" sql "$stack" 'select * from django_migrations order by id'
  find "$XDG_STATE_HOME" 2>/dev/null || true
}

world >before
# (the leak check cannot work under strace)
ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" strace -f -qq -e trace=execve -o trace "$DEPLOYRUN" rolling dir="$stack" health="$url/health/" \
  version_url="$url/version" --dry-run >plan 2>&1 || fail "the dry run failed: $(cat plan)"
world >after
cat plan
diff before after || fail "the dry run changed something"

# What was executed: git to read, compose to say its version and configuration, and what these start themselves.
grep -v ENOENT trace | grep -oE 'execve\("[^"]*", \[.*' | sort -u >executed
cat executed
if grep -E '"(pull|fetch|build|up|run|stop|rm|down|exec|restart|reset|checkout)"' executed; then
  fail "the dry run started an action"
fi

for expected in 'git pull --no-rebase --ff-only origin main' 'build' 'manage.py migrate' 'scale api=2' 'docker stop' \
  'nginx -s reload' 'Nothing was changed'; do
  grep -q -- "$expected" plan || fail "the plan does not show '$expected'"
done

"$DEPLOYRUN" rolling dir="$stack" health="$url/health/" --dry-run --json >plan.json || fail "--json failed"
python3 - <<'PY' || fail "the plan as data is not what was shown"
import json
events = [json.loads(line) for line in open("plan.json")]
ops = [e for e in events if e["event"] == "plan_op"]
assert [o["n"] for o in ops] == list(range(1, len(ops) + 1)), "numbers"
assert any(o["op"] == "compose.build" and o["kind"] == "action" and "change" in o["effects"] for o in ops)
assert all(set(o) >= {"op", "kind", "target", "preview", "effects", "assumed", "assumes", "where"} for o in ops)
assert events[-1]["event"] == "run_finished" and events[-1]["exit_code"] == 0 and not events[-1]["changed"]
PY
