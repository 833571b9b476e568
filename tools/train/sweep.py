#!/usr/bin/env python3
"""Runs several trainings at once, one on each GPU (or one after another on the processor), and tells them apart at the end.

    tools/train/sweep.py OUT NAME=ARGUMENTS...      arguments of train.py, but --out, which is OUT/NAME
    tools/train/sweep.py OUT --table                only the table of what is there
"""
import json
import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty, Queue

import torch


def work(device, runs, out, failed):
    while True:
        try:
            name, arguments = runs.get_nowait()
        except Empty:
            return
        command = [sys.executable, str(Path(__file__).parent / "train.py"), *shlex.split(arguments), "--out", str(out / name)]
        with open(out / f"{name}.log", "ab") as log:
            status = subprocess.run(command, stdout=log, stderr=log, env=os.environ | {"CUDA_VISIBLE_DEVICES": str(device), "PYTHONUNBUFFERED": "1"}).returncode
        if status:
            failed.append(name)
            print(f"{name} failed:\n" + (out / f"{name}.log").read_text()[-2000:], flush=True)


def table(out):
    rows = []
    for path in sorted(out.glob("*/curve.json")):
        run = json.loads(path.read_text())
        scored = [entry for entry in run["curve"] if "held_out" in entry]
        if scored:
            last, kinds = scored[-1], scored[-1]["held_out"]
            rows.append((sum(kinds.values()) / len(kinds), path.parent.name, run["parameters"], last["step"], last["seconds"], kinds))
    for mean, name, parameters, step, seconds, kinds in sorted(rows):
        print(f"{name:24} {mean:.4f}  {parameters:9,} parameters  {step:6} steps {seconds:5.0f} s  " + "  ".join(f"{kind} {value:.3f}" for kind, value in kinds.items()))


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    if sys.argv[2:] != ["--table"]:
        runs, failed = Queue(), []
        for run in sys.argv[2:]:
            runs.put(run.split("=", 1))
        workers = [threading.Thread(target=work, args=(device, runs, out, failed)) for device in range(max(1, torch.cuda.device_count()))]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    table(out)
    sys.exit(1 if sys.argv[2:] != ["--table"] and failed else 0)


if __name__ == "__main__":
    main()
