"""Turns the JSON lines of run.sh into a table: python3 benches/peers/table.py figures.jsonl

A figure is the median of its run; of several runs of the same peer, the median of those. In brackets, how many
times that of glassbox it is.
"""
import json
import sys
from collections import defaultdict
from statistics import median

FIGURES = [  # heading, what, key, digits
    ("step, ms", "step", "median_ms", 1),
    ("epoch, ms", "epoch", "median_ms", 0),
    ("fit of 50 epochs, s", "fit", "median_ms", 2),
    ("scoring, ms", "infer", "median_ms", 0),
    ("memory after a step, MiB", "cold", "rss_mib_after_first_step", 0),
    ("start to first step, s", "cold", "start_to_first_step_s", 3),
]

runs = defaultdict(list)
for line in open(sys.argv[1]):
    line = json.loads(line)
    for heading, what, key, _ in FIGURES:
        if line["what"] == what and line.get(key) is not None:
            seconds = heading.endswith(", s") and key.endswith("_ms")
            runs[line["peer"], line["variant"], heading].append(line[key] / (1000 if seconds else 1))
peers = list(dict.fromkeys(key[:2] for key in runs))
ours = next(peer for peer in peers if peer[0] == "glassbox")


def cell(peer, heading, digits):
    if (*peer, heading) not in runs:
        return ""
    value, base = (median(runs[*p, heading]) for p in (peer, ours))
    ratio = "" if peer == ours else f" ({value / base:.1f})"
    return f"{value:.{digits}f}{ratio}"


process = [line for line in map(json.loads, open(sys.argv[1])) if line["what"] == "process"]
print("| peer | " + " | ".join(heading for heading, *_ in FIGURES) + " |")
print("|---" * (len(FIGURES) + 1) + "|")
for peer in peers:
    cells = (cell(peer, heading, digits) for heading, _, _, digits in FIGURES)
    print(f"| {peer[0]}, {peer[1].replace('cpu, ', '')} | " + " | ".join(cells) + " |")

if process:
    def least(key):
        return min(line[key] for line in process)

    print(f"\nThe whole process of `{process[0]['command']}`, start to results written: {least('wall_s'):.2f} s, "
          f"{least('peak_rss_mib'):.0f} MiB at most; least of {len(process)} runs.")
