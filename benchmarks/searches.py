"""CPU seconds of a search without a box: this code beside that of another checkout, in turns.

usage: python benchmarks/searches.py CHECKOUT PICTURES [--number 40] [--rounds 3]

Each round runs a program of each checkout, with its own shipped network. It loads the network, and
then searches one picture after the other. Seconds are those of all threads.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAM = """
import json, sys, time
import numpy as np
from PIL import Image
import hourglass
start = time.process_time()
network = hourglass.load()
pictures = [np.array(Image.open(path).convert("RGB")) for path in json.loads(sys.argv[1])]
people = [len(network.predict(pictures[0]))]
first = time.process_time() - start
start = time.process_time()
people += [len(network.predict(picture)) for picture in pictures[1:]]
seconds = (time.process_time() - start) / (len(pictures) - 1)
print(json.dumps([first, seconds, sum(people) / len(pictures)]))
"""


def run(checkout, paths):
    """CPU seconds to the first picture's people and of each further one; people a picture."""
    environment = os.environ | {"PYTHONPATH": str(checkout.resolve() / "src")}
    command = [sys.executable, "-c", PROGRAM, json.dumps(paths)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--number", type=int, default=40, help="pictures (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    options = parser.parse_args()
    paths = [str(path.resolve()) for path in sorted(options.pictures.iterdir())][: options.number]
    sides = {"before": options.checkout, "now": ROOT}
    times = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, checkout in sides.items():
            times[name].append(run(checkout, paths))
    print("| code | first picture, CPU s | each further one | people a picture |")
    print("|---|---:|---:|---:|")
    for name, rows in times.items():
        first, seconds, people = map(statistics.median, zip(*rows, strict=True))
        print(f"| {name} | {first:.2f} | {seconds:.3f} | {people:.2f} |")


if __name__ == "__main__":
    main()
