# git_common.sh - what the scripts that run git on a target share; git_script.c puts it before each of them.
#
# A script answers with pairs: a word and its value, a zero byte behind each (git_pairs.c reads them). It ends with 0,
# with 70 when it says itself what is wrong (the pair "error" has the code), and with 71 when git has said it on its
# error output. It is run by a POSIX shell with LC_ALL=C, and works with git 2.20 or later.
# shellcheck shell=sh
set -u

# Another repository's, when the run itself was begun by a hook of git.
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_PREFIX GIT_COMMON_DIR GIT_OBJECT_DIRECTORY \
  GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_NAMESPACE GIT_LITERAL_PATHSPECS GIT_GLOB_PATHSPECS GIT_NOGLOB_PATHSPECS \
  GIT_ICASE_PATHSPECS GIT_EXTERNAL_DIFF GIT_DIFF_OPTS

# Nobody is asked: a question at a terminal, in a window or in an editor becomes a failure.
export GIT_TERMINAL_PROMPT=0 GIT_ASKPASS='' SSH_ASKPASS='' SSH_ASKPASS_REQUIRE=never GCM_INTERACTIVE=never \
  GIT_EDITOR=false GIT_SEQUENCE_EDITOR=false GIT_MERGE_AUTOEDIT=no GIT_PAGER=cat

# What a person has set for themselves and would change our results; a git that is too old for one of these passes over
# it. Left as it is: who is the author, how remotes are reached (url, http, credential, core.sshCommand), which rules of
# security hold, hooks, and what makes up the files (core.autocrlf, core.attributesFile, core.excludesFile, filters).
settings='--no-pager -c core.pager=cat -c core.quotePath=true -c core.safecrlf=false -c core.ignoreStat=false
  -c core.fsmonitor= -c gc.auto=0 -c maintenance.auto=false
  -c color.ui=false -c color.diff=false -c color.status=false -c color.branch=false -c color.push=false
  -c color.remote=false -c color.transport=false -c color.advice=false
  -c commit.gpgSign=false -c tag.gpgSign=false -c tag.forceSignAnnotated=false -c push.gpgSign=false
  -c log.showSignature=false -c log.follow=false -c log.date=default
  -c i18n.logOutputEncoding=UTF-8 -c i18n.commitEncoding=UTF-8
  -c diff.relative=false -c diff.orderFile=/dev/null -c diff.ignoreSubmodules=untracked
  -c diff.renames=true -c diff.renameLimit=1000 -c status.renames=true -c status.renameLimit=1000
  -c status.relativePaths=false -c status.showStash=false -c status.aheadBehind=true
  -c merge.conflictStyle=merge -c merge.autoStash=false -c rebase.autoStash=false -c rerere.enabled=false
  -c fetch.prune=false -c fetch.pruneTags=false -c fetch.recurseSubmodules=false -c submodule.recurse=false
  -c push.default=simple -c push.followTags=false -c push.pushOption= -c push.recurseSubmodules=no
  -c checkout.guess=true -c branch.autoSetupMerge=true -c branch.autoSetupRebase=never
  -c clone.defaultRemoteName=origin'

tell() { printf '%s\0%s\0' "$1" "$2"; }
stop() { tell error "$1"; exit 70; }
broken() { exit 71; }

# tell_all WORD: a pair for each name, of names on standard input with a zero byte behind each.
tell_all() { xargs -0 printf "$1"'\0%s\0'; }

# Housekeeping is left to git's own time: in the background it would hold our lock.
# shellcheck disable=SC2086 # words
git() { command git $settings "$@"; }

# never_ask: neither does ssh. How it is called is changed only where nobody has said it.
never_ask() {
  [ -z "${GIT_SSH_COMMAND-}${GIT_SSH-}" ] || return 0
  command git config core.sshCommand >/dev/null 2>&1 || export GIT_SSH_COMMAND='ssh -o BatchMode=yes -o ConnectTimeout=30'
}

# commit_of REVISION: how git is asked for the commit a revision names; ":/text" takes nothing behind it.
commit_of() {
  case $1 in :/*) printf '%s' "$1" ;; *) printf '%s^{commit}' "$1" ;; esac
}

# lock_holder FILE: the number of a git process that has the lock file open, or else works in the checkout; 1 when
# there is none. Another user's processes show this only to root.
lock_holder() {
  for process in /proc/[0-9]*; do
    case $(cat "$process/comm" 2>/dev/null) in git*) ;; *) continue ;; esac
    [ "$process" != "/proc/$$" ] || continue
    for file in "$process"/fd/* "$process/cwd"; do
      case $(readlink "$file" 2>/dev/null) in
        "$1" | "$PWD" | "$PWD"/*)
          echo "${process#/proc/}"
          return 0 ;;
      esac
    done
  done
  return 1
}

# tell_lock FILE
tell_lock() {
  tell lock "$1"
  changed=$(stat -c %Y "$1" 2>/dev/null) && tell age "$(($(date +%s) - changed))"
  holder=$(lock_holder "$1") && tell holder "$holder $(tr '\0' ' ' <"/proc/$holder/cmdline" 2>/dev/null)"
}
