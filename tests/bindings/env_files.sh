#!/bin/sh
# env_files.sh - env files read here and by their real readers: docker-compose 1 through its own Python modules, and systemd
# by units on a fake server that print what they were given.
set -eu
testbed=$DEPLOYRUN_SOURCE_DIR/tests/testbed
texts=$DEPLOYRUN_SOURCE_DIR/tests/bindings/env_files.py
python=$(sed -n '1s/^#!//p' "$(command -v docker-compose)")
name=envs-$$

fail() { echo "env_files.sh: $*" >&2; exit 1; }

cat >read.lua <<'LUA'
return recipe { name = "read", params = { dialect = param.string { required = true } }, run = function(p)
  local all = {}
  for i, text in ipairs(json.decode(fs.read "texts.json")) do
    local ok, found = pcall(env_file.parse, text, { dialect = p.dialect })
    if not ok and found.code ~= "env_file.syntax" then error(found) end
    all[i] = ok and json.encode(found) or "null"
  end
  fs.write("ours." .. p.dialect, "[" .. table.concat(all, ",") .. "]")
end }
LUA
"$python" "$texts" texts >texts.json
for dialect in compose-v1 systemd; do "$DEPLOYRUN" read.lua dialect=$dialect; done

"$python" "$texts" compose ours.compose-v1 || fail "docker-compose reads other values"

trap 'sh "$testbed/vps.sh" stop "$name"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
sh "$testbed/vps.sh" start "$name" >vps.env
# shellcheck source=/dev/null
. ./vps.env
mkdir -p envs
"$python" "$texts" files envs
docker cp envs "$VPS_CONTAINER:/envs"
docker exec --interactive "$VPS_CONTAINER" sh -eu <<'END'
cat >/etc/systemd/system/env@.service <<'UNIT'
[Service]
Type=oneshot
EnvironmentFile=/envs/%i
ExecStart=/usr/bin/env -0
StandardOutput=truncate:/envs/%i.out
UNIT
systemctl daemon-reload
cd /envs
systemctl start $(for text in *; do echo "env@$text"; done)
END
docker cp "$VPS_CONTAINER:/envs/." envs
"$python" "$texts" systemd ours.systemd envs || fail "systemd reads other values"
