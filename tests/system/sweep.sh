# sweep.sh - what the scripts share that let allocations of the command fail; to be sourced, with $library set to what
# is built from failing_malloc.c.
#
# Each takes some allocations, spread over all. DEPLOYRUN_WHOLE_SWEEP=1 takes every one, for hours;
# DEPLOYRUN_WHOLE_SWEEP=ways takes the first and the last time that each way to an allocation is gone, for minutes.
# shellcheck shell=sh disable=SC2154
[ -f "$library" ] || { echo "FAILED: there is no $library"; exit 1; }
if ldd "$DEPLOYRUN" | grep -qE 'lib(a|t)san'; then
  echo "left out: this build has a sanitizer's malloc"
  exit 0
fi

failed=
export FAIL_PART=1 # two runs at a time; a recipe that changes files keeps them apart by it

# sweep LABEL STEP ARGUMENT…: every STEP-th allocation of a run of the command. What fails is noted in $failed.
sweep() {
  label=$1
  step=${DEPLOYRUN_WHOLE_SWEEP:-$2}
  shift 2
  FAIL_SEEN=1 FAIL_STEP=$step LD_PRELOAD=$library "$DEPLOYRUN" "$@" >swept || failed="$failed $label;"
  grep -q ' up to allocation' swept || failed="$failed $label: nothing was swept;"
  echo "$label: $(sort -t ' ' -k 5n swept | tail -n 1), $(awk '{ runs += $7 } END { print runs }' swept) runs in all"
}

# swept_well: the end of a script.
swept_well() { [ -z "$failed" ] || { echo "FAILED:$failed"; exit 1; }; }
