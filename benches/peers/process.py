"""Time and peak memory of a whole process: python3 process.py COMMAND... prints a JSON line.

The memory is that of the largest process among the command and its children, as the system counts it.
"""
import json
import os
import resource
import subprocess
import sys
import time

start = time.perf_counter()
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
wall = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
command = " ".join([os.path.basename(sys.argv[1])] + [word for word in sys.argv[2:] if "/" not in word])
print(json.dumps({"what": "process", "command": command, "wall_s": round(wall, 3), "peak_rss_mib": round(peak, 1)}))
