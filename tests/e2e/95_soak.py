"""The soak of bench/soak.py for some seconds: it still runs, and all that it checks holds."""

import json
import os
import subprocess
import sys

from harness import SLOWNESS, test

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench", "soak.py")


@test("P7", limit=90)
def after_a_mixed_load_everything_is_as_before_and_the_counters_add_up(env):
    figures = env.path("soak.json")
    done = subprocess.run(
        [sys.executable, "-B", SCRIPT, "--build", env.places.build, "--standin", env.places.standin(), "--minutes", "0.2", "--every", "1.2",
         "--clients", "16", "--slack", "6",
         "--growth-mib", "64",  # so early it still warms up
         "--json", figures], capture_output=True, text=True, timeout=80 * SLOWNESS)
    env.write("soak.out", done.stdout + done.stderr)
    with open(figures) as file:
        result = json.load(file)
    assert done.returncode == 0, [row for row in result["checks"] if not row["holds"]] + result["faults"]
    traffic = result["traffic"]
    assert traffic["requests taken"] > 100 and traffic["replays after a 401"] > 0 and traffic["restarts of the origin"] > 0, traffic
