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
    ("scoring, ms", "infer", "median_ms", 0),
    ("memory after a step, MiB", "cold", "rss_mib_after_first_step", 0),
    ("start to first step, s", "cold", "start_to_first_step_s", 3),
]

runs = defaultdict(list)
for line in open(sys.argv[1]):
    line = json.loads(line)
    for heading, what, key, _ in FIGURES:
        if line["what"] == what and line.get(key) is not None:
            runs[line["peer"], line["variant"], heading].append(line[key])
peers = list(dict.fromkeys(key[:2] for key in runs))
ours = next(peer for peer in peers if peer[0] == "glassbox")


def cell(peer, heading, digits):
    if (*peer, heading) not in runs:
        return ""
    value, base = (median(runs[*p, heading]) for p in (peer, ours))
    ratio = "" if peer == ours else f" ({value / base:.1f})"
    return f"{value:.{digits}f}{ratio}"


print("| peer | " + " | ".join(heading for heading, *_ in FIGURES) + " |")
print("|---" * (len(FIGURES) + 1) + "|")
for peer in peers:
    cells = (cell(peer, heading, digits) for heading, _, _, digits in FIGURES)
    print(f"| {peer[0]}, {peer[1].replace('cpu, ', '')} | " + " | ".join(cells) + " |")
