#!/usr/bin/env bash
# Builds all that check.sh runs, into target/gpu: for a machine with a GPU that has no Rust and no network.
#
#   benches/gpu/build.sh            here
#   benches/gpu/check.sh            there, in a copy of this folder with target/gpu in it
set -euo pipefail
cd "$(dirname "$0")/../.."

to=target/gpu
rm -rf "$to" && mkdir -p "$to"

# Names the binary that a command has built, by the messages of cargo.
built() { # name of the target, then cargo's arguments
  local name=$1
  shift
  cargo "$@" --message-format=json-render-diagnostics |
    python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["target"]["name"] == sys.argv[1]:
        path = message["executable"]
print(path)' "$name"
}

for test in conformance golden fused properties profile; do
  cp "$(built "$test" test --release --locked --no-run -p glassbox-tests --test "$test")" "$to/$test"
done
cp "$(built gpu bench --locked --no-run -p glassbox-benches --bench gpu)" "$to/bench"
cp "$(built glassbox build --release --locked -p glassbox)" "$to/glassbox"
git rev-parse --short HEAD > "$to/commit"
strip "$to"/{conformance,golden,fused,properties,profile,bench,glassbox}
du -sh "$to"
