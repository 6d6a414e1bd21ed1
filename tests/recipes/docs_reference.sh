#!/bin/sh
# The reference is whole: every method that recipes can call, every global and every error code has an entry.
#
#   method   of a table given to dr.class(), and of dr.Target      -> function NAME:method in bindings/meta/*.lua
#   global   made by dr.global(), or replaced in the sandbox       -> function NAME, or NAME = {}, in bindings/meta/*.lua
#   code     that C or Lua throws                                  -> docs/errors.md
#   docs/api.md is what docs/generate_api.sh makes of bindings/meta, docs/hazards.md what docs/generate_hazards.sh makes of the
#   classifier's table.
set -eu
work=$(pwd)
cd "${DEPLOYRUN_SOURCE_DIR:?}"
lua="$(find bindings -name '*.lua' -not -path 'bindings/meta/*') runtime/lua/prelude.lua"
meta="bindings/meta/*.lua"
missing=0
miss() {
  missing=$((missing + 1))
  echo "$*"
}

# The tables whose functions recipes see as methods, by the name they have in the source.
# shellcheck disable=SC2086 # patterns
tables=$({ echo Target; grep -ohE 'dr\.class\("[^"]*", [A-Za-z_]+\)' $lua | sed 's/.*, \(.*\))/\1/'; } | sort -u)

# "TABLE method" for each function in such a table: written out, assigned, or made in a loop over a list of names.
# shellcheck disable=SC2086
methods() {
  awk '
    /^for .* in ipairs \{/ { list = "" ; gathering = 1 }
    gathering { list = list " " $0 }
    gathering && / do$/ { gathering = 0; sub(/.*ipairs \{/, "", list); sub(/\}.*/, "", list); gsub(/[",]/, " ", list) }
    /^function (dr\.)?[A-Za-z_]+[:.][a-z_]+\(/ {
      name = $2
      sub(/\(.*/, "", name); sub(/^dr\./, "", name)
      if (split(name, part, /[:.]/) == 2) print part[1], part[2]
    }
    /^[A-Za-z]+\.[a-z_]+ = / { split($1, part, "."); print part[1], part[2] }
    /^ +[A-Za-z]+\[[a-z_]+\] = function/ || /^ +[a-z_]+\[name\] = function\(options\)/ {
      name = $1
      sub(/\[.*/, "", name)
      count = split(list, names, " ")
      for (i = 1; i <= count; i++) print name, names[i]
    }
  ' $lua | sort -u
}

methods | while read -r table method; do
  printf '%s\n' "$tables" | grep -qx "$table" || continue
  # What a class is called by the people who use it: param.string, not param_types.string.
  [ "$table" != param_types ] || table=param
  [ "$table" != Postgres ] || table=postgres
  # shellcheck disable=SC2086
  grep -qE "^function ${table}[:.]$method\(" $meta || echo "$table:$method is not in bindings/meta"
done >"$work/missing_methods"
while read -r line; do miss "$line"; done <"$work/missing_methods"

# shellcheck disable=SC2086
globals=$({
  grep -ohE 'dr\.global\("[a-z]+"' $lua | sed 's/.*"\(.*\)"/\1/'
  awk '/^local globals = \{/ { inside = 1; next } /^}/ { inside = 0 } inside' runtime/lua/sandbox.lua |
    grep -oE '(^| )[a-z]+ = ' | tr -d ' ='
} | sort -u)
for name in $globals; do
  # shellcheck disable=SC2086
  grep -qE "^function ([a-z]+\.)?$name\(|^$name = \{\}" $meta || miss "the global $name is not in bindings/meta"
done

# Codes are words with one dot in C and Lua; so are the names of ops, of files and of what a runtime keeps.
families='check command compose confirm docker fs git http journal json lock param postgres proxy recipe secret ssh sudo swarm usage wait yaml'
pattern=$(printf '%s' "$families" | tr ' ' '|')
ops=$({
  grep -rohE '\.name = "[a-z]+\.[a-z_]+"' --include='*.c' bindings | sed 's/.*= //'
  grep -rohE 'dr\.op\("[a-z]+\.[a-z_]+"' --include='*.lua' bindings runtime | sed 's/.*(//'
  grep -ohE 'ACTION\("[a-z_]+"' bindings/compose/compose.c | sed 's/.*("/"compose./'
  grep -ohE 'ACTION\("[a-z_]+"' bindings/swarm/swarm.c | sed 's/.*("/"swarm./'
  grep -ohE '(ASK|ACT)\("[a-z_]+"' bindings/docker/docker_objects.c | sed 's/.*("/"docker./'
} | sort -u)
codes=$(grep -rohE "\"($pattern)\.[a-z_]+\"" --include='*.c' --include='*.lua' bindings runtime/core runtime/ops runtime/lua \
  runtime/cli | grep -vE '\.(h|sock|lua)"|"docker\.(engines|tunnels|io)"|"http\.(head|probes|version)"|"json\.array"|"postgres\.null"' | sort -u |
  { printf '%s\n' "$ops" >"$work/known_ops"; grep -vxFf "$work/known_ops"; } | tr -d '"')
for code in $codes; do
  grep -qF "\`$code\`" docs/errors.md || miss "the error code $code is not in docs/errors.md"
done
for family in $families; do
  # shellcheck disable=SC2086
  grep -qE "(^|[^a-z_.])$family\.[a-z_*]+" $meta docs/errors.md || miss "no code of $family.* is mentioned"
done

sh docs/generate_api.sh >"$work/api.md"
cmp -s "$work/api.md" docs/api.md || miss "docs/api.md is old: sh docs/generate_api.sh > docs/api.md"
sh docs/generate_hazards.sh >"$work/hazards.md"
cmp -s "$work/hazards.md" docs/hazards.md || miss "docs/hazards.md is old: sh docs/generate_hazards.sh > docs/hazards.md"
rm -f "$work/api.md" "$work/hazards.md" "$work/known_ops" "$work/missing_methods"

echo "$(echo "$codes" | wc -l) codes, $(echo "$globals" | wc -w) globals, $(methods | wc -l) functions looked at; $missing missing"
[ "$missing" -eq 0 ]
