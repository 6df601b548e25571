"""Worker processes: none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = """
import os
import sys
from pathlib import Path

from xcodec2.evaluate.workers import process_pool

if __name__ == "__main__":
    pool = process_pool(2, os.chdir, (sys.argv[1],))
    found = [pool.submit(os.getpid).result(), pool.submit(os.getcwd).result()]
    Path("told.partial").write_text("\\n".join(map(str, found)))
    Path("told.partial").rename("told")
    pool.submit(os.getpid).result()
    import time
    time.sleep(60)
"""


def is_running(process: int) -> bool:
    """Whether it is there, and no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_workers_end_with_a_parent_that_was_killed(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "there").mkdir()
    parent = subprocess.Popen([sys.executable, "script.py", "there"], cwd=tmp_path)
    told, end = tmp_path / "told", time.monotonic() + 60
    while not told.exists() and time.monotonic() < end:
        time.sleep(0.02)
    worker, folder = told.read_text().splitlines()
    assert folder == str(tmp_path / "there")
    assert is_running(int(worker))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    while is_running(int(worker)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_running(int(worker))
