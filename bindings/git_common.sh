# git_common.sh - what the scripts that run git on a target share; git_script.c puts it before each of them.
#
# A script answers with pairs: a word and its value, a zero byte behind each (git_pairs.c reads them). It ends with 0,
# with 70 when it says itself what is wrong (the pair "error" has the code), and with 71 when git has said it on its
# error output. It is run by a POSIX shell with LC_ALL=C, and works with git 2.13 or later.
# shellcheck shell=sh
set -u
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_PREFIX

tell() { printf '%s\0%s\0' "$1" "$2"; }
stop() { tell error "$1"; exit 70; }
broken() { exit 71; }

# tell_all WORD: a pair for each name, of names on standard input with a zero byte behind each.
tell_all() { xargs -0 printf "$1"'\0%s\0'; }

# Housekeeping is left to git's own time: in the background it would hold our lock.
git() { command git -c gc.auto=0 -c maintenance.auto=false -c core.quotePath=true "$@"; }

# never_ask: a question to a person, at a terminal or in a window, becomes a failure. How ssh is called is changed only
# where nobody has said it.
never_ask() {
  export GIT_TERMINAL_PROMPT=0 GIT_ASKPASS='' SSH_ASKPASS='' SSH_ASKPASS_REQUIRE=never
  [ -z "${GIT_SSH_COMMAND-}${GIT_SSH-}" ] || return 0
  command git config core.sshCommand >/dev/null 2>&1 || export GIT_SSH_COMMAND='ssh -o BatchMode=yes -o ConnectTimeout=30'
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
