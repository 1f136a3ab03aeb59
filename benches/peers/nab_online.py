"""The online convolutional autoencoder of `glassbox nab run`, in PyTorch: the same protocol, model, batches and steps.

It does what `crates/lab/src/nab/detectors/autoencoder.rs` does: learn the probation for 300 steps of Adam, then in turn score
50 rows and learn for 4 steps. It prints one JSON line for each file: rows, seconds of wall time and of processor time. Draws,
initial weights and rounding differ, so its errors do not equal ours; the work does.

    nab_online.py NAB_DATA [file.csv...]      all files without names; files are paths below NAB_DATA
"""
import csv
import json
import math
import pathlib
import sys
import time

import numpy as np
import torch
from torch import nn

STEPS, CODE, FILTERS, TAPS = 64, 4, (16, 8), 7
BATCH, FIRST_UPDATES, UPDATES, TURN, MEMORY, JUDGED = 32, 300, 4, 50, 4000, 32


def model():
    outer, inner = FILTERS
    # Keras's `same` padding of 64 and 32 steps with stride 2: two zeros before and three after, and the reverse.
    return nn.Sequential(
        nn.ConstantPad1d((2, 3), 0.0), nn.Conv1d(1, outer, TAPS, stride=2), nn.Tanh(),
        nn.ConstantPad1d((2, 3), 0.0), nn.Conv1d(outer, inner, TAPS, stride=2), nn.Tanh(),
        nn.Flatten(), nn.Linear(STEPS // 4 * inner, CODE),
        nn.Linear(CODE, STEPS // 4 * inner), nn.Tanh(), nn.Unflatten(1, (inner, STEPS // 4)),
        nn.ConvTranspose1d(inner, inner, TAPS, stride=2, padding=3, output_padding=1), nn.Tanh(),
        nn.ConvTranspose1d(inner, outer, TAPS, stride=2, padding=3, output_padding=1), nn.Tanh(),
        nn.ConvTranspose1d(outer, 1, TAPS, padding=3),
    )


def errors(values, probation, seed=1):
    torch.manual_seed(seed)
    draw = np.random.default_rng(seed)
    net = model()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3, eps=1e-7)
    found = []
    seen, updates = min(probation, len(values)), 0
    while len(found) < len(values):
        mean, std = values[:seen].mean(), values[:seen].std()
        start, end = max(seen - MEMORY, 0), min(len(values), seen + TURN)
        z = np.clip((values[start:end] - mean) / std, -1e6, 1e6) if std > 0 else np.zeros(end - start)
        x = torch.from_numpy((10 * np.arcsinh(z / 10)).astype(np.float32))
        known = seen - start
        if known >= STEPS:
            windows = x[:known].unfold(0, STEPS, 1)
            count = len(windows)
            for _ in range(FIRST_UPDATES if updates == 0 else UPDATES):
                recent = 0 if updates == 0 else BATCH // 2
                batch = np.concatenate([
                    count - 1 - draw.integers(0, min(count, TURN), recent),
                    draw.integers(0, count, BATCH - recent),
                ])
                sample = windows[torch.from_numpy(batch)][:, None]
                optimizer.zero_grad(set_to_none=True)
                nn.functional.l1_loss(net(sample), sample).backward()
                optimizer.step()
            updates += 1
        found.extend([0.0] * (min(start + STEPS - 1, end) - len(found)))
        if len(found) < end:
            with torch.no_grad():
                sample = x[len(found) + 1 - STEPS - start:].unfold(0, STEPS, 1)[:, None]
                found.extend((net(sample) - sample)[:, 0, -JUDGED:].abs().mean(1).tolist())
        seen = end
    return found


def main():
    root = pathlib.Path(sys.argv[1])
    files = [root / name for name in sys.argv[2:]] or sorted(root.glob("*/*.csv"))
    torch.set_num_threads(1)
    for file in files:
        with open(file, newline="") as text:
            rows = csv.reader(text)
            next(rows)
            values = np.array([float(row[1]) for row in rows])
        wall, cpu = time.perf_counter(), time.process_time()
        found = errors(values, min(math.floor(0.15 * len(values)), 750))
        assert len(found) == len(values) and np.isfinite(found).all(), file
        print(json.dumps({
            "file": str(file.relative_to(root)), "rows": len(values),
            "seconds": round(time.perf_counter() - wall, 3), "cpu_seconds": round(time.process_time() - cpu, 3),
        }), flush=True)


if __name__ == "__main__":
    main()
