"""Draws the README's picture from what the tutorial left behind.

usage: python docs/picture.py GLASSBOX_OUT TEST_CSV docs/anomaly.png        (needs matplotlib)
"""
import csv
import json
import sys
from datetime import datetime

import matplotlib

matplotlib.use("Agg")
import matplotlib.dates as dates
import matplotlib.pyplot as plt


def column(path, name, cast):
    with open(path, newline="") as f:
        return [cast(row[name]) for row in csv.DictReader(f)]


out, test, picture = sys.argv[1:]
result = json.load(open(f"{out}/result.json"))
time = column(test, "timestamp", datetime.fromisoformat)
value = column(test, "value", float)
points = result["anomalies"]["points"]["indices"]
mae = column(f"{out}/windows.csv", "mae", float)
threshold = result["threshold"]

plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
figure, (top, bottom) = plt.subplots(2, 1, figsize=(9, 4.2), sharex=True, height_ratios=[3, 2], layout="constrained")
top.plot(time, value, color="#4c72b0", linewidth=0.6, label="test series")
top.plot([time[i] for i in points], [value[i] for i in points], color="#c44e52", linewidth=1.2, label=f"{len(points)} anomalous points")
top.set_ylabel("value")
top.legend(loc="upper left", frameon=False)
bottom.plot(time[: len(mae)], mae, color="#4c72b0", linewidth=0.8, label="mean absolute error of the window that starts here")
bottom.axhline(threshold, color="#c44e52", linewidth=1, linestyle="--", label=f"threshold {threshold:.4f}")
bottom.set_ylabel("error (std)")
bottom.legend(loc="upper left", frameon=False)
bottom.xaxis.set_major_locator(dates.DayLocator())
bottom.xaxis.set_major_formatter(dates.DateFormatter("%-d %b"))
figure.savefig(picture, dpi=140)
