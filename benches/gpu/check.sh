#!/usr/bin/env bash
# The whole check on a machine with a GPU, in one call: is it right, is it the same each time, is it clean, how fast.
# Needs what build.sh has built, the fixtures of this repository, the NVIDIA driver and NVRTC; no Rust, no network.
#
#   benches/gpu/check.sh [number of the GPU [script that measures PyTorch]]
#
# Prints a table at the end; all that was said on the way is in target/gpu/logs, and growth.svg, how the step grows, as a
# picture. Fails if a line of the table does.
set -uo pipefail
cd "$(dirname "$0")/../.."

gpu=${1:-0} peer=${2:-}
bin=$PWD/target/gpu
[ -x "$bin/glassbox" ] || { echo "target/gpu has no binaries: run benches/gpu/build.sh first" >&2; exit 2; }
logs=$bin/logs
rm -rf "$logs" && mkdir -p "$logs"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GLASSBOX_FIXTURES=$PWD/fixtures GLASSBOX_CACHE=$work/cache
# The generated tests run fewer cases than on the CPU: each is a session of its own.
export PROPTEST_CASES=${PROPTEST_CASES:-64}

table=()
failed=0
check() { # name, then the command
  local name=$1 start=$SECONDS verdict=passed
  shift
  printf '== %s\n' "$name"
  if ! "$@" > "$logs/$name.txt" 2>&1; then
    verdict=FAILED
    failed=1
    tail -n 20 "$logs/$name.txt"
  fi
  table+=("$(printf '| %-24s | %-7s | %5d s |' "$name" "$verdict" $((SECONDS - start)))")
}
skip() { # name, why
  printf '== %s: %s\n' "$1" "$2"
  table+=("$(printf '| %-24s | %-7s | %7s |' "$1" "skipped" "")")
}

usable() {
  "$bin/glassbox" devices
  "$bin/glassbox" devices --json | grep -q '"auto": "cuda:'
}
on_the_gpu() { GLASSBOX_TEST_GPU=$gpu "$bin/$1" --test-threads=1; }
train() { # file to write, then more arguments; $epochs of them, 5 unless it is set
  local out=$1
  shift
  "$bin/glassbox" train "$csv" --time-steps 288 --epochs "${epochs:-5}" --no-early-stopping --quiet \
    --out "$work/$out.safetensors" --history "$work/$out.json" "$@"
}
same_bits() {
  train first --device "cuda:$gpu" && train second --device "cuda:$gpu" || return 1
  cmp "$work/first.safetensors" "$work/second.safetensors" && cmp "$work/first.json" "$work/second.json"
}
resumes() {
  local run=(--device "cuda:$gpu" --checkpoint-dir "$work/run")
  epochs=2 train resumed "${run[@]}" && train resumed "${run[@]}" --resume || return 1
  cmp "$work/first.safetensors" "$work/resumed.safetensors"
}
follows_the_cpu() {
  train cpu --device cpu || return 1
  # The bound of tests/cuda.rs, where its reason stands.
  python3 - "$work/first.json" "$work/cpu.json" <<'PYTHON'
import json, sys
gpu, cpu = (json.load(open(path)) for path in sys.argv[1:])
worst = max(abs(a - b) / b for curve in ("loss", "val_loss") for a, b in zip(gpu[curve], cpu[curve]))
print(f"largest relative difference of a loss: {worst:.1e}")
sys.exit(not worst <= 1e-4)
PYTHON
}
measures() {
  local said
  said=$("$bin/bench" --gpu "$gpu" --svg "$logs/growth.svg") || return 1
  printf '%s\n' "$said"
  [[ $said != *"no GPU is measured"* ]]
}
sanitize() { # tool
  compute-sanitizer --tool "$1" --error-exitcode 1 "$bin/glassbox" train "$short" --time-steps 16 --epochs 1 \
    --batch-size 16 --quiet --out "$work/sanitized.safetensors" --device "cuda:$gpu"
}

"$bin/glassbox" data twin "$work/nab" > "$work/paths" || exit 1
csv=$(head -n 1 "$work/paths")
[ -f "$csv" ] || csv=$work/nab/$csv
short=$work/short.csv
head -n 101 "$csv" > "$short"

# NVRTC: what the loader finds, or else what is beside a CUDA toolkit or among Python's packages.
if [ -z "${GLASSBOX_NVRTC:-}" ] && ! usable > "$logs/first.txt" 2>&1; then
  toolkit=$(command -v nvcc) && toolkit=$(dirname "$(dirname "$toolkit")")
  packages=$(python3 -c 'import sys; print("\n".join(path for path in sys.path if path.endswith("-packages")))')
  while read -r folder; do
    for found in "$folder"/lib64/libnvrtc.so.1[23] "$folder"/nvidia/*/lib/libnvrtc.so.1[23]; do
      [ -f "$found" ] && export GLASSBOX_NVRTC=$found && break 2
    done
  done <<< "${toolkit:-/usr/local/cuda}"$'\n'"$packages"
fi
check devices usable
# Nothing that follows could pass.
[ "$failed" = 0 ] || exit 1
check conformance on_the_gpu conformance
check fused on_the_gpu fused
check golden on_the_gpu golden
check properties on_the_gpu properties
check profiled-steps on_the_gpu profile
check same-bits same_bits
check resume resumes
check the-cpus-curve follows_the_cpu
for tool in memcheck racecheck synccheck; do
  if command -v compute-sanitizer > "$logs/which.txt"; then
    check "sanitizer-$tool" sanitize "$tool"
  else
    skip "sanitizer-$tool" "compute-sanitizer is not on the PATH"
  fi
done
check benchmarks measures
[ -z "$peer" ] || check pytorch python3 "$peer"
check profile "$bin/glassbox" profile --device "cuda:$gpu"

printf '\n%s, %s, commit %s\n' "$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader -i "$gpu" 2> "$logs/smi.txt")" \
  "$(date -u +%F)" "$(cat "$bin/commit")"
printf '| check                    | verdict |    time |\n|---|---|---|\n'
printf '%s\n' "${table[@]}"
printf '\n'
cat "$logs/benchmarks.txt" "$logs/profile.txt"
[ -z "$peer" ] || { printf '\nPyTorch, on the same GPU:\n'; cat "$logs/pytorch.txt"; }
[ -f "$logs/growth.svg" ] && printf '\nHow the step grows, as a picture: %s\n' "$logs/growth.svg"
exit "$failed"
