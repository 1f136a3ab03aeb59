#!/usr/bin/env bash
# Measures glassbox and its peers in turns, on one machine, in one run. One JSON line a figure on standard output,
# progress on standard error.
#
#   PEERS_HOME=<temporary folder> benches/peers/run.sh > figures.jsonl
#
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

environment() { # name, packages...
  local home=$PEERS_HOME/$1
  shift
  [ -x "$home/bin/python" ] && return
  say "installing $*"
  python3 -m venv "$home" && "$home/bin/pip" install -q "$@" >&2
}
environment keras tensorflow-cpu==2.21.0 keras==3.15.1
environment jax jax==0.10.2 keras==3.15.1
environment torch torch==2.15.0 numpy

say "building glassbox"
cargo build --release -p glassbox >&2
peer=$(cargo bench -p glassbox-benches --bench peer --no-run --message-format json 2>/dev/null |
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
rust_peer burn
rust_peer candle

glassbox() {
  say "glassbox"
  PEER_T0=$(date +%s.%N) "$peer" --bench --threads "$threads"
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

say "glassbox tutorial, as a whole"
for _ in 1 2 3; do
  python3 "$here/process.py" target/release/glassbox tutorial --seed 1 --data "$NAB_DATA" \
    --out "$PEERS_HOME/out" --threads "$threads"
done

export KERAS_BACKEND=tensorflow
glassbox
python keras keras_fit.py --dump "$PEERS_HOME/parity.npz"
python keras keras_fit.py --jit auto --threads "$threads"
python keras keras_fit.py --jit true --threads "$threads"
glassbox
for form in polyphase dilated gemm; do
  # The same numbers first: --check compares a forward pass with Keras's.
  python jax jax_step.py --form $form --check "$PEERS_HOME/parity.npz"
  python jax jax_step.py --form $form --threads "$threads"
done
glassbox
for form in 1d 2dcl gemm; do
  python torch torch_step.py --form $form --check "$PEERS_HOME/parity.npz"
  python torch torch_step.py --form $form --threads "$threads"
  python torch torch_step.py --form $form --compile --threads "$threads"
  # With an allocator that keeps its memory, which is PyTorch's better form on glibc.
  MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=2147483648 MALLOC_TOP_PAD_=268435456 \
    python torch torch_step.py --form $form --threads "$threads" | sed 's/torch-eager/torch-eager-malloc/'
done
glassbox
for backend in flex ndarray; do
  rust peer-burn $backend
done
glassbox
# candle has no gradient of a transposed convolution in one dimension: it trains with those in two.
rust peer-candle all2d gradcheck
rust peer-candle all2d
glassbox
