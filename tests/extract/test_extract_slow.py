"""What takes minutes: kills at twenty moments, Ray clusters, memory, the exactness of codes on the
whole test set.
"""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from extraction import Inline, make_corpus, rows
from paths import ROOT

from xcodec2 import XCodec2Model
from xcodec2.extract import encoding, extract, run

pytestmark = pytest.mark.slow
DATA = ROOT / "data" / "nano" / "test"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"), 400)


@pytest.fixture(scope="module")
def expected(manifest, tmp_path_factory) -> dict[str, dict]:
    """Rows of one uninterrupted run, each recording encoded alone."""
    out = tmp_path_factory.mktemp("whole") / "out"
    extract(manifest, out, batch_seconds=0, rows=100)
    return rows(out)


def command(manifest: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "xcodec2.cli", "extract", str(manifest), str(out), *more]


def test_twenty_kills(manifest, expected, tmp_path):
    """Killed hard, with all its processes, at random moments of work; workers, batches and readers
    change as well.
    """
    out, chance = tmp_path / "out", random.Random(0)
    kills = 0
    for _ in range(60):
        options = [
            "--rows",
            "2",  # 200 shards: a fast machine writes half a dozen before it is killed
            "--workers",
            str(chance.choice([1, 2])),
            "--batch-seconds",
            str(chance.choice([5, 40])),
        ]
        had = len(list(out.glob("data/*.parquet")))
        process = subprocess.Popen(command(manifest, out, *options), start_new_session=True)
        while (
            process.poll() is None
            and len(list(out.glob("data/*.parquet"))) < had + 1
            and kills < 20
        ):
            time.sleep(0.01)
        if process.poll() is not None or kills == 20:
            assert process.wait() == 0
            break
        time.sleep(chance.uniform(0, 0.25))
        os.killpg(process.pid, signal.SIGKILL) if chance.random() < 0.5 else os.kill(
            process.pid, signal.SIGKILL
        )
        process.wait()
        kills += 1
    assert kills == 20
    assert rows(out) == expected


@pytest.mark.parametrize(
    "options", [["--workers", "2", "--rows", "30"], ["--batch-seconds", "10", "--readers", "2"]]
)
def test_workers_and_batches_change_nothing(manifest, expected, tmp_path, options):
    subprocess.run(command(manifest, tmp_path / "out", *options), check=True, capture_output=True)
    assert rows(tmp_path / "out") == expected


def test_ray_gives_the_same_rows(manifest, expected, tmp_path):
    options = ["--engine", "ray", "--rows", "50", "--workers", "1"]
    subprocess.run(command(manifest, tmp_path / "out", *options), check=True, capture_output=True)
    assert rows(tmp_path / "out") == expected


def test_a_ray_cluster_loses_a_node(manifest, expected, tmp_path, monkeypatch):
    """Two nodes, the second goes in mid-run with all that ran on it."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv(
        "RAY_worker_niceness", "0"
    )  # beside other work on few cores, nice workers may never start
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 4, "object_store_memory": 10**9}
    )
    try:
        second = cluster.add_node(num_cpus=4, object_store_memory=10**9)
        cluster.wait_for_nodes()
        out = tmp_path / "out"

        def lose() -> None:
            while len(list(out.glob("data/*.parquet"))) < 3:
                time.sleep(0.05)
            cluster.remove_node(second, allow_graceful=False)

        thread = threading.Thread(target=lose, daemon=True)
        thread.start()
        extract(manifest, out, engine="ray", address=cluster.address, workers=2, rows=10)
        thread.join(60)
        assert not thread.is_alive()
        assert rows(out) == expected
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_memory_is_flat_in_the_rows_of_the_manifest(tmp_path):
    """1000 against 50 000 rows, all of them real work for the driver; the peak is that of the
    process.
    """
    make_corpus(tmp_path / "corpus", 1, bad=False)

    def peak(count: int) -> int:
        manifest = tmp_path / "corpus" / f"{count}.tsv"
        manifest.write_text("id\tpath\n" + "".join(f"{n}\tmissing.flac\n" for n in range(count)))
        program = (
            "import resource, sys; from xcodec2.extract import extract;"
            "extract(sys.argv[1], sys.argv[2], workers=1, rows=250);"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        words = [sys.executable, "-c", program, str(manifest), str(tmp_path / f"out{count}")]
        return int(
            subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()[-1]
        )

    small, large = peak(1_000), peak(50_000)
    print(f"driver's peak: {small} kB with 1000 rows, {large} kB with 50000")
    assert large < 1.1 * small


@pytest.mark.skipif(not DATA.is_dir(), reason="needs scripts/prepare_nano_data.py")
def test_codes_of_the_whole_test_set_do_not_depend_on_batches():
    """And rounding stays within the tolerance that tells which rows it could matter for."""
    torch.set_num_threads(1)
    model = XCodec2Model.from_pretrained("nano").eval()
    with (DATA / "manifest.tsv").open(newline="") as file:
        paths = [DATA / row["path"] for row in csv.DictReader(file, delimiter="\t")][::2]
    waveforms = [torch.from_numpy(soundfile.read(path, dtype="float32")[0]) for path in paths]
    alone = encoding.encode_exactly(model, waveforms, 0)
    for budget in (10, 60):
        together = encoding.encode_exactly(model, waveforms, budget)
        assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_the_plain_engine_is_the_same_unit_of_work(manifest, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "start", Inline().start)
    extract(manifest, tmp_path / "out", rows=33, batch_seconds=17)
    assert rows(tmp_path / "out") == expected
    assert (
        pq.read_schema(next((tmp_path / "out" / "data").iterdir())).metadata[b"xcodec2.model"]
        == b"nano"
    )
