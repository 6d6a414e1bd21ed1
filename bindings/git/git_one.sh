# git_one.sh - runs git once, as the settings of git_common.sh have it: one WORD...
# shellcheck shell=sh
# shellcheck disable=SC2154,SC2086 # settings

exec git $settings "$@"
