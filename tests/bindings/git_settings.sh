#!/bin/sh
# git_settings.sh - the cases of git.lua for a person whose own settings would change each of their results, or who would
# be asked something: they come to the same, and nobody is asked.
set -eu
fail() { echo "FAILED: $*" >&2; exit 1; }
world=$PWD/world
rm -rf "$world"
mkdir -p "$world/home" "$world/cases"
cd "$world/cases"

# Whoever is asked leaves a file, and does not come back for a while.
cat >"$world/ask" <<END
#!/bin/sh
echo "\$0 \$*" >>"$world/asked"
exec sleep 600
END
chmod +x "$world/ask"
cat >"$world/home/.gitconfig" <<END
[core]
 editor = $world/ask
 askPass = $world/ask
 pager = $world/ask
 quotePath = false
 fsmonitor = $world/ask
 safecrlf = true
 abbrev = 4
[sequence]
 editor = $world/ask
[gpg]
 program = $world/ask
[commit]
 gpgSign = true
[tag]
 gpgSign = true
 forceSignAnnotated = true
[push]
 gpgSign = true
 default = nothing
 followTags = true
 pushOption = nothing
 recurseSubmodules = only
[color]
 ui = always
 diff = always
 status = always
 push = always
 remote = always
 transport = always
 advice = always
[log]
 showSignature = true
 follow = true
 date = relative
 decorate = full
[format]
 pretty = oneline
[i18n]
 logOutputEncoding = UTF-16
[diff]
 noprefix = true
 renames = false
 external = $world/ask
 submodule = log
 ignoreSubmodules = all
 relative = true
 orderFile = $world/ask
[status]
 showUntrackedFiles = no
 short = true
 branch = true
 renames = false
 relativePaths = true
 showStash = true
 aheadBehind = false
[pull]
 rebase = interactive
[merge]
 ff = false
 autoStash = true
 conflictStyle = diff3
[rebase]
 autoStash = true
[rerere]
 enabled = true
[submodule]
 recurse = true
[stash]
 showPatch = true
[fetch]
 prune = true
 pruneTags = true
 output = compact
[checkout]
 guess = false
[branch]
 autoSetupMerge = false
 autoSetupRebase = always
[clone]
 defaultRemoteName = elsewhere
[init]
 defaultBranch = weird
[advice]
 detachedHead = false
 statusHints = false
 pushUpdateRejected = false
 commitBeforeMerge = false
[apply]
 whitespace = fix
[alias]
 status = !$world/ask
END
export HOME="$world/home" GIT_EDITOR="$world/ask" GIT_SEQUENCE_EDITOR="$world/ask" GIT_PAGER="$world/ask" \
  GIT_ASKPASS="$world/ask" SSH_ASKPASS="$world/ask" GIT_EXTERNAL_DIFF="$world/ask"
"$DEPLOYRUN" "$DEPLOYRUN_SOURCE_DIR/tests/bindings/git.lua" >out 2>&1 </dev/null || fail "$(cat out)"
[ ! -e "$world/asked" ] || fail "somebody was asked: $(cat "$world/asked")"
echo ok
