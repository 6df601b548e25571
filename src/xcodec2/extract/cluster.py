"""The engine on a Ray cluster: CPU actors read, decode and resample, CPU or GPU actors encode (Ray
Data).

Blocks between the two hold a piece of a unit's audio. When a node disappears, Ray makes its pieces
again elsewhere; they come out the same, and the driver takes each row once.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from xcodec2.errors import XCodec2Error
from xcodec2.extract.child import Child
from xcodec2.extract.encoding import Outcome, Settings
from xcodec2.extract.plan import Unit
from xcodec2.extract.reading import pieces, read_ahead, readers
from xcodec2.extract.worker import surviving
from xcodec2.extras import require

UNITS_AT_ONCE = 2048  # in one Ray Data pipeline; bounds what the driver holds
Block = dict[str, Any]  # column → array, as map_batches has it


class Read:
    """A unit's recordings → pieces of decoded audio."""

    def __init__(self, settings: Settings, sample_rate: int) -> None:
        self.settings, self.sample_rate = settings, sample_rate
        self.children = readers(settings.readers, sample_rate)

    def __call__(self, block: Block) -> Iterator[Block]:
        """A block of units → blocks of a piece each."""
        for number, packed in zip(block["unit"], block["content"], strict=True):
            audio = read_ahead(pickle.loads(packed), self.children, self.settings.time_limit)
            first = 0
            for piece in pieces(audio, self.sample_rate):
                yield {"unit": [int(number)], "first": [first], "content": [pickle.dumps(piece)]}
                first += len(piece)


class Encode:
    """Pieces of decoded audio → their outcomes; in a process of its own, since Ray would try for
    ever what kills it.
    """

    def __init__(self, settings: Settings) -> None:
        self.child = Child("xcodec2.extract.worker:encoding_worker", settings)

    def __call__(self, block: Block) -> Block:
        """A block of pieces → a block of their outcomes."""
        results = [
            pickle.dumps(surviving(pickle.loads(packed), self.child)) for packed in block["content"]
        ]
        return {"unit": block["unit"], "first": block["first"], "content": results}


def run(
    units: Iterable[Unit], settings: Settings, workers: int, sample_rate: int, address: str | None
) -> Iterator[tuple[Unit, list[Outcome]]]:
    """Units as they are finished, in any order.

    Joins the cluster at `address`, or starts Ray on this machine.

    Raises:
        XCodec2Error: There is no cluster at that address, or it loses rows.
    """
    ray = require("ray", "ray.data", extra="ray", purpose="--engine ray")
    started = not ray.is_initialized()
    if started:
        try:
            # Started here, Ray is given room for all actors, whatever the cores: it would wait for
            # more for ever.
            room = None if address else workers * (1 + settings.readers) + 2
            ray.init(address=address, num_cpus=room, log_to_driver=False, configure_logging=False)
        except (ConnectionError, ValueError, RuntimeError) as problem:
            raise XCodec2Error(f"no Ray cluster at {address}: {problem}") from problem
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        units = iter(units)
        while some := list(islice(units, UNITS_AT_ONCE)):
            yield from run_some(ray, some, settings, workers, sample_rate)
    finally:
        if started:
            ray.shutdown()


def run_some(
    ray: Any, units: list[Unit], settings: Settings, workers: int, sample_rate: int
) -> Iterator[tuple[Unit, list[Outcome]]]:
    """The units of one Ray Data pipeline, as they are finished.

    Raises:
        XCodec2Error: Ray gave back fewer rows than it was given.
    """
    gpus = 1 if settings.device.startswith("cuda") else 0
    actors = ray.data.ActorPoolStrategy(min_size=1, max_size=workers)  # may grow when nodes join
    items = [{"unit": n, "content": pickle.dumps(unit.recordings)} for n, unit in enumerate(units)]
    blocks = (
        ray.data.from_items(items, override_num_blocks=len(items))
        .map_batches(
            Read,
            fn_constructor_args=(settings, sample_rate),
            batch_size=1,
            num_cpus=settings.readers,
            compute=actors,
        )
        .map_batches(
            Encode,
            fn_constructor_args=(settings,),
            batch_size=1,
            num_cpus=0 if gpus else 1,
            num_gpus=gpus,
            compute=actors,
        )
    )
    parts: dict[int, dict[int, Outcome]] = {}
    for row in blocks.iter_rows():
        unit = units[row["unit"]]
        rows = parts.setdefault(row["unit"], {})
        rows |= enumerate(pickle.loads(row["content"]), row["first"])
        if len(rows) == len(unit.recordings):
            yield unit, [rows[i] for i in range(len(rows))]
            del parts[row["unit"]]
    if parts:
        raise XCodec2Error(f"Ray lost rows of {len(parts)} units; run the same command again")
