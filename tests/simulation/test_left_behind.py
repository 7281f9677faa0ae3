"""A simulator that a test or a benchmark started ends with it, however that ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import psutil
import pytest

pytestmark = pytest.mark.timeout(60)

STARTS = """
import time
from mox.simulation.serving import serving
with serving() as served:
    print(served.pid, flush=True)
    time.sleep(60)
"""


def test_a_simulator_does_not_outlive_who_started_it() -> None:
    with subprocess.Popen([sys.executable, "-c", STARTS], stdout=subprocess.PIPE) as starter:
        try:
            assert starter.stdout is not None
            pid = int(starter.stdout.readline())
            assert psutil.pid_exists(pid)
        finally:
            starter.send_signal(signal.SIGKILL)
    until = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until, "the simulator is still there"
        time.sleep(0.05)
