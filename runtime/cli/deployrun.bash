# Completion of the deployrun command for bash. Installed as share/bash-completion/completions/deployrun.

# Names of the bundled recipes.
_deployrun_recipes() {
  deployrun list --json 2>/dev/null | sed -n 's/^{"name":"\([^"]*\)".*/\1/p'
}

# "name=" for each param of a recipe.
_deployrun_params() {
  deployrun show "$1" --json 2>/dev/null | grep -o '{"name":"[^"]*","type"' | sed 's/{"name":"\([^"]*\)".*/\1=/'
}

# The first word that is no option and no option's file, before the cursor: the command or the recipe.
_deployrun_first_word() {
  local i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --set-file | --env-file) i=$((i + 1)) ;;
      -*) ;;
      *) echo "${COMP_WORDS[i]}" && return ;;
    esac
  done
}

_deployrun() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} first words
  COMPREPLY=()
  case $before in
    --set-file | --env-file | =)
      compopt -o default
      return
      ;;
  esac
  first=$(_deployrun_first_word)
  case $word,$first in
    -*) words='--dry-run --set-file --env-file --verbose --quiet --json --no-color --help --version' ;;
    *,) words="list show check help $(_deployrun_recipes)" ;;
    *,show | *,check) words=$(_deployrun_recipes) ;;
    *,list | *,help) words= ;;
    *) words=$(_deployrun_params "$first") ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  case ${COMPREPLY[0]-} in *=) compopt -o nospace ;; esac
  case $first in '' | show | check) compopt -o default ;; esac
}

complete -F _deployrun deployrun
