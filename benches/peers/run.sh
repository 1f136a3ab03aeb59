#!/usr/bin/env bash
# Measures glassbox and its peers in turns, on one machine, in one run. One JSON line a figure on standard output,
# progress on standard error.
#
#   PEERS_HOME=<temporary folder> benches/peers/run.sh [peer...] > figures.jsonl
#
# Peers: keras jax torch burn candle, all of them by default; and lstm, which measures the LSTM autoencoder with 32 and with
# 128 units on keras, jax and torch.
# PEERS_HOME gets the virtual environments (several GB) and keeps them for the next run. NAB_DATA is NAB's data
# folder; without it the built-in twin stands in for the training file.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/benches/peers
: "${PEERS_HOME:?set PEERS_HOME to a temporary folder}"
mkdir -p "$PEERS_HOME"
PEERS_HOME=$(cd "$PEERS_HOME" && pwd)
threads=${THREADS:-2}

say() { echo "== $* ($(date +%T))" >&2; }

peers=${*:-keras jax torch burn candle}
wanted() { [[ " $peers " == *" $1 "* ]]; }

environment() { # name, packages...
  local home=$PEERS_HOME/$1
  shift
  [ -x "$home/bin/python" ] && return
  say "installing $*"
  python3 -m venv "$home" && "$home/bin/pip" install -q "$@" >&2
}
if wanted keras || wanted lstm; then environment keras tensorflow-cpu==2.21.0 keras==3.15.1; fi
if wanted jax || wanted lstm; then environment jax jax==0.10.2 keras==3.15.1; fi
if wanted torch || wanted lstm; then environment torch torch==2.15.0 numpy; fi

say "building glassbox"
cargo build --release -p glassbox >&2
ours=$(cargo bench -p glassbox-benches --bench peer --no-run --message-format json 2>/dev/null |
  python3 -c 'import json, sys; print([m["executable"] for m in map(json.loads, sys.stdin) if m.get("executable")][-1])')
if [ -z "${NAB_DATA:-}" ]; then
  NAB_DATA=$PEERS_HOME/twin
  target/release/glassbox data twin "$NAB_DATA" >&2
fi
export NAB_DATA TF_CPP_MIN_LOG_LEVEL=3 TORCHINDUCTOR_CACHE_DIR=$PEERS_HOME/inductor PYTHONDONTWRITEBYTECODE=1

rust_peer() { # folder: built for this very processor, which is its best form
  say "building $1"
  (cd "$here/$1" && CARGO_TARGET_DIR=$PEERS_HOME/target RUSTFLAGS="-C target-cpu=native" \
    cargo build --release >&2)
}
for peer in burn candle; do
  if wanted "$peer"; then rust_peer "$peer"; fi
done

glassbox() {
  say "glassbox"
  PEER_T0=$(date +%s.%N) "$ours" --bench --threads "$threads"
}
python() { # environment, script, arguments...
  local home=$PEERS_HOME/$1 script=$2
  shift 2
  say "$script $*"
  PEER_T0=$(date +%s.%N) timeout 300 "$home/bin/python" "$here/$script" "$@" 2>>"$PEERS_HOME/stderr.log" | grep '^{' || true
}

rust() { # binary, arguments...
  local binary=$PEERS_HOME/target/release/$1
  say "$*"
  shift
  RAYON_NUM_THREADS=$threads PEER_T0=$(date +%s.%N) timeout 300 "$binary" "$@" 2>>"$PEERS_HOME/stderr.log" |
    grep '^{' || true
}

measure_keras() {
  export KERAS_BACKEND=tensorflow
  python keras keras_fit.py --jit auto --threads "$threads"
  glassbox
  python keras keras_fit.py --jit true --threads "$threads"
}
# The same numbers first: --check compares a forward pass with Keras's.
same() { # environment, script, arguments...
  if [ -f "$PEERS_HOME/parity.npz" ]; then python "$@" --check "$PEERS_HOME/parity.npz"; fi
}
measure_jax() {
  for form in polyphase dilated gemm; do
    same jax jax_step.py --form $form
    python jax jax_step.py --form $form --threads "$threads"
  done
}
# With an allocator that keeps its memory, which is PyTorch's better form on glibc.
keeping_memory() { # environment, script, arguments...
  MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=2147483648 MALLOC_TOP_PAD_=268435456 python "$@"
}
measure_torch() {
  for form in 2dcl 1d gemm; do
    same torch torch_step.py --form $form
    python torch torch_step.py --form $form --threads "$threads"
    python torch torch_step.py --form $form --compile --threads "$threads"
    keeping_memory torch torch_step.py --form $form --threads "$threads" | sed 's/torch-eager/torch-eager-malloc/'
  done
}
measure_burn() {
  for backend in flex ndarray; do rust peer-burn $backend; done
}
measure_candle() {
  # It has no gradient of a transposed convolution in one dimension: it trains with those in two.
  rust peer-candle all2d gradcheck
  rust peer-candle all2d
}

measure_lstm() {
  local units peer
  for units in 32 128; do
    for peer in torch jax keras; do
      "$ours" --bench --threads "$threads" --lstm $units
      keeping_memory $peer lstm.py $peer --units $units --threads "$threads"
    done
  done
}

if [ "$peers" = lstm ]; then
  measure_lstm
  exit
fi

say "glassbox tutorial, as a whole"
for _ in 1 2 3; do
  python3 "$here/process.py" target/release/glassbox tutorial --seed 1 --data "$NAB_DATA" \
    --out "$PEERS_HOME/out" --threads "$threads"
done
glassbox
if wanted keras; then KERAS_BACKEND=tensorflow python keras keras_fit.py --dump "$PEERS_HOME/parity.npz"; fi
for peer in $peers; do
  "measure_$peer"
  glassbox
done
