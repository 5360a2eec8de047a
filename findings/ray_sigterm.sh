#!/usr/bin/env bash
# Ray: SIGTERM to a driver. Seen with ray 2.60.0 on Linux.
#
# - `ray.init` sets a handler of SIGTERM. A driver that is not out after 3 s is aborted, exit by
#   SIGABRT: `finally` blocks and `with` statements that take longer are cut off.
# - A handler that is set after `ray.init` arms no such alarm, and all of the clean-up runs.
# - What that handler raises does not come through `ray.get` as it is: a subclass of
#   KeyboardInterrupt arrives as a plain KeyboardInterrupt.
#
# A good engineer would expect the clean-up to run to its end, as without Ray, and the exception of
# a handler to keep its class.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ray==2.60.0
cat > "$folder/driver.py" <<'PYTHON'
import signal
import sys
import time

import ray

ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="error")


class Terminated(KeyboardInterrupt):
    pass


def handle(*_):
    raise Terminated


if sys.argv[1] == "own":
    signal.signal(signal.SIGTERM, handle)
try:
    print("ready", flush=True)
    ray.get(ray.remote(lambda: time.sleep(60)).remote())
except KeyboardInterrupt as error:
    print(type(error).__name__, flush=True)
finally:
    time.sleep(6)
    print("cleaned up", flush=True)
PYTHON

for handler in rays own; do
    "$folder/venv/bin/python" "$folder/driver.py" "$handler" > "$folder/out" 2> /dev/null &
    driver=$!
    until grep -q ready "$folder/out"; do kill -0 "$driver"; sleep 0.2; done
    sleep 2
    kill -TERM "$driver"
    code=0; wait "$driver" || code=$?
    said=$(tr '\n' ' ' < "$folder/out")
    echo "$handler handler: exit code $code, said: $said"
    case $handler in
        rays) [ "$code" = 134 ] && [ "$said" = "ready " ] ;;
        own) [ "$code" = 0 ] && [ "$said" = "ready KeyboardInterrupt cleaned up " ] ;;
    esac || { echo "the behaviour has changed"; exit 1; }
done
