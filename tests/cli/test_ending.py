"""The command's process ends with its exit code, whatever threads of libraries are alive."""

from __future__ import annotations

import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from paths import ROOT

# A reader of Arrow's comes back for the interpreter while the interpreter is being torn down,
# which `Slow` makes long enough to happen every time.
PROGRAM = """
import atexit, io, sys, threading, time
path, *args = sys.argv[1:]

class SlowFile(io.FileIO):
    def read(self, size=-1):
        if threading.current_thread() is not threading.main_thread() and begun.is_set():
            reading.set()
            time.sleep(0.4)
        return super().read(size)

class Slow:
    def __del__(self):
        time.sleep(0.8)

def read():
    file = parquet.ParquetFile(SlowFile(path), pre_buffer=True)
    begun.set()
    file.read()

def main():
    from xcodec2.cli import main as command
    sys.argv = ["xcodec2", *args]
    slow.append(Slow())
    command()

import pyarrow.parquet as parquet
import xcodec2.cli, xcodec2.cli.export
begun, reading, slow = threading.Event(), threading.Event(), []
original = xcodec2.cli.xcodec2.main
def late(*args, **more):
    atexit.register(print, "cleared away", flush=True)
    threading.Thread(target=read, daemon=True).start()
    reading.wait()
    return original(*args, **more)
xcodec2.cli.xcodec2.main = late
main()
"""


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (["export", "nowhere", "out", "--to", "npy"], 1, "xcodec2: error: nowhere"),
        (["export", "nowhere"], 2, "xcodec2: error: Missing argument"),
        (["--version"], 0, ""),
    ],
)
def test_threads_of_libraries_do_not_change_how_a_command_ends(args, code, told, tmp_path):
    pq.write_table(pa.table({"a": list(range(1000))}), tmp_path / "a.parquet")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "a.parquet"), *args],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert (done.returncode, done.stderr.count("\n")) == (code, int(bool(told))), done.stderr
    assert done.stderr.startswith(told)
    assert done.stdout.endswith("cleared away\n")


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        ("encode - -o x.npz <&-", 1, "xcodec2: error: standard input is closed"),
        ("decode - -o x.wav <&-", 1, "xcodec2: error: standard input is closed"),
        ("decode x.npz -o - >&-", 1, "xcodec2: error: standard output is closed"),
        ("speak Hello -o - >&-", 1, "xcodec2: error: standard output is closed"),
    ],
)
def test_standard_streams_that_are_not_there_are_named(command, code, told, tmp_path):
    """As in a service or a cron job. Told before a model is loaded."""
    (tmp_path / "x.npz").write_bytes(b"")
    done = subprocess.run(
        f"{sys.executable} -m xcodec2.cli {command}",
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(told)
    assert len(done.stderr.splitlines()) == 1
