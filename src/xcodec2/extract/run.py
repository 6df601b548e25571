"""An extraction from beginning to end: plan, skip what is done, run the rest, count."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from xcodec2.corpus import read_corpus
from xcodec2.corpus.decoders import with_decoders
from xcodec2.corpus.extraction import IDENTITY, SUMMARY
from xcodec2.corpus.options import Options
from xcodec2.errors import XCodec2Error
from xcodec2.extract.plan import Plan, Unit
from xcodec2.extract.progress import Progress
from xcodec2.extract.store import Store, parquet, unit_table
from xcodec2.extract.summary import count_extraction, dataset_card

if TYPE_CHECKING:
    from xcodec2.extract.encoding import Settings

ROWS = 1000  # in one shard, on average


@dataclass(frozen=True)
class CodecDescription:
    """What the driver has to know of the model; it does not keep it."""

    sample_rate: int
    facts: dict[str, Any]


def extract(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    model: str = "nano",
    device: str = "cpu",
    engine: str = "local",
    address: str | None = None,
    workers: int | None = None,
    readers: int | None = None,
    batch_seconds: float = 40.0,
    rows: int = ROWS,
    time_limit: float = 120.0,
    audio_column: str | None = None,
    id_column: str | None = None,
    subset: str | None = None,
    split: str | None = None,
    encoding: str | None = None,
    segments: str = "auto",
    remote: bool = True,
    channel: int | None = None,
    retry_errors: bool = False,
) -> dict[str, Any]:
    """Encode every recording of a corpus into a data set of tokens.

    What is done already is skipped; a recording that cannot be read becomes a row with an error.
    Neither engine, workers, readers, batch_seconds nor the order of units change a row.

    Args:
        source: The corpus, see `xcodec2.corpus.read_corpus`.
        out: Folder or URL of the data set.
        model: Anything that `from_pretrained` takes.
        device: Where it runs.
        engine: "local" or "ray".
        address: Of a running Ray cluster.
        workers: Encoding processes; by default one per core or GPU.
        readers: Reading processes of each worker; the default depends on the machine.
        batch_seconds: Padded audio in one batch, in seconds.
        rows: In a shard, on average.
        time_limit: Seconds for reading one recording.
        audio_column: Of a table; see `read_corpus`.
        id_column: Of a table; see `read_corpus`.
        subset: Of a data set; see `read_corpus`.
        split: Of a data set; see `read_corpus`.
        encoding: Of text files; see `read_corpus`.
        segments: See `read_corpus`.
        remote: Whether a manifest may name files elsewhere; see `read_corpus`.
        channel: The one to take of each recording, from 0; None averages them.
        retry_errors: Process units that have errors again.

    Returns:
        What summary.json holds.

    Raises:
        XCodec2Error: `source` or `model` cannot be used, or `out` cannot be written or holds
            something else.
    """
    from xcodec2.extract.encoding import Settings

    source, store, codec = absolute(os.fspath(source)), Store(os.fspath(out)), describe_codec(model)
    workers = workers or default_workers(device)
    settings = Settings(
        model, device, readers or default_readers(device, workers), time_limit, batch_seconds
    )
    reading = Options(audio_column, id_column, subset, split, encoding, segments, remote)
    corpus = with_decoders(read_corpus(source, **asdict(reading), channel=channel))
    identity = {"weights_hash": codec.facts["weights_hash"]}
    if channel is not None:  # without one, the keys are those of older data sets
        identity["channel"] = channel
    with ExitStack() as stack:
        if begun := store.exists():  # to be told at once when another run is writing there
            stack.enter_context(store.locked())
        plan = stack.enter_context(Plan(corpus, rows, identity))
        if not begun:  # a corpus that cannot be read leaves no folder behind
            stack.enter_context(store.locked())
        claim(store, {"source": source, "channel": channel, **identity}, reading)
        keys = {unit.key for unit in plan}
        done = settle(store, keys, retry_errors)
        todo = (unit for unit in plan if unit.key not in done)
        progress = Progress(
            plan.rows, sum(len(unit.recordings) for unit in plan if unit.key in done)
        )
        with closing(
            start(engine, todo, settings, workers, codec.sample_rate, address)
        ) as finished:
            for unit, outcomes in finished:
                rows_of_unit = unit_table(
                    unit, outcomes, plan, metadata(codec.facts), codec.facts["codebook_size"]
                )
                store.write(store.shard(unit.key), parquet(rows_of_unit))
                progress.add(outcomes)
        progress.bar.close()
        return finish_extraction(
            store, keys, codec.facts | {"source": source, "columns": plan.columns}, progress
        )


def start(
    engine: str,
    units: Iterator[Unit],
    settings: Settings,
    workers: int,
    sample_rate: int,
    address: str | None,
) -> Any:
    """The units with their outcomes, as a generator that ends its processes when it is closed."""
    if engine == "ray":
        from xcodec2.extract import cluster

        return cluster.run(units, settings, workers, sample_rate, address)
    from xcodec2.extract import local

    return local.run(units, settings, workers)


def describe_codec(name: str) -> CodecDescription:
    """Sample rate and facts of a model by name; it is loaded for them."""
    from xcodec2 import XCodec2Model, __version__

    model = XCodec2Model.from_pretrained(name)
    hop, sample_rate = model.config.encoder_hop, model.config.input_rate
    # one more where the encoder pads, as XCodec2 does; NeuCodec does not
    count = f"N//{hop}{' + 1' if model.config.feature_padding else ''}"
    if model.config.pooling > 1:
        count = f"({count})//{model.config.pooling}"
    return CodecDescription(
        sample_rate,
        {
            "model": model.model_id,
            "weights_hash": model.weights_hash,
            "version": __version__,
            "frame_rate": model.frame_rate,
            "codebook_size": model.codebook_size,
            "frames": f"{count} codes for N samples at {sample_rate} Hz",
        },
    )


def metadata(facts: Mapping[str, Any]) -> dict[str, str]:
    """Facts as Parquet's metadata has them: text by text."""
    return {f"xcodec2.{name}": str(value) for name, value in facts.items()}


def absolute(source: str) -> str:
    """The same source from any folder; URLs and Hub ids stay what they are."""
    on_disk = "://" not in source and (
        os.path.exists(source) or any(mark in source for mark in "*?[")
    )
    return os.path.abspath(source) if on_disk else source


def claim(store: Store, identity: dict[str, Any], reading: Options) -> None:
    """Refuse a place that holds tokens of another source or model: nothing there is removed by
    mistake. `reading` is noted for those who want the recordings again.

    Raises:
        XCodec2Error: The place holds tokens of another source or model.
    """
    found = store.read_json(IDENTITY)
    if found is None and store.keys():
        raise XCodec2Error(f"{store.path}: holds shards but no extraction.json; choose another OUT")
    for name, value in identity.items():
        if found is not None and found.get(name) != value:
            raise XCodec2Error(
                f"{store.path}: holds tokens of the {name} {found.get(name)}, not {value}; choose "
                "another OUT"
            )
    if found is None:
        given = dict(asdict(reading).items() - asdict(Options()).items())
        stated = {name: value for name, value in identity.items() if value is not None}
        noted = stated | ({"reading": given} if given else {})
        store.write_text(IDENTITY, json.dumps(noted, indent=2, sort_keys=True) + "\n")


def settle(store: Store, wanted: set[str], retry_errors: bool) -> set[str]:
    """Keys of the finished units.

    Shards of units that are no more, since the source changed, are removed.
    """
    present = store.keys()
    store.remove(sorted(present - wanted))
    done = present & wanted
    return {key for key in done if not has_errors(store, key)} if retry_errors else done


def has_errors(store: Store, key: str) -> bool:
    """Whether a shard has rows without codes."""
    column = store.read(key, ["error"])["error"]
    return column.null_count < len(column)


def finish_extraction(
    store: Store, keys: set[str], facts: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    """Check that every unit is there, then count; a run that found all done takes the count of the
    one before.

    Raises:
        XCodec2Error: Shards are missing.
    """
    if missing := keys - store.keys():
        raise XCodec2Error(
            f"{store.path}: {len(missing)} shards are not there after all; run the same command "
            "again"
        )
    before = store.read_json(SUMMARY)
    counted = before is not None and before.get("units") == keys_digest(keys)
    if before is not None and "times_real_time" not in before:
        counted = False  # written when real_time_factor meant the inverse
    if counted and before is not None and progress.done == progress.before:
        return before
    speed = progress.speed()
    summary = count_extraction(store, keys, facts) | {
        "units": keys_digest(keys),
        "real_time_factor": 1 / speed if speed else None,  # computing time over duration
        "times_real_time": speed,
    }
    store.write_text("README.md", dataset_card(summary))
    store.write_text(SUMMARY, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    return summary


def keys_digest(keys: set[str]) -> str:
    """16 hexadecimal digits that stand for a set of units."""
    return hashlib.sha256(" ".join(sorted(keys)).encode()).hexdigest()[:16]


def default_workers(device: str) -> int:
    """GPUs, CPU cores, or one."""
    import torch

    return torch.cuda.device_count() if device == "cuda" else cores() if device == "cpu" else 1


def default_readers(device: str, workers: int) -> int:
    """One beside each encoder on a core; all cores shared out where GPUs encode."""
    return 1 if device == "cpu" else max(1, cores() // workers)


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
