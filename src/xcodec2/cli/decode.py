"""`xcodec2 decode`: codes files to speech."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import click

from xcodec2.cli.options import (
    INPUT_FILE_OR_STDIN,
    device_option,
    load_for_few,
    load_for_stream,
    model_option,
)
from xcodec2.cli.outputs import (
    STDIO,
    check_audio_suffix,
    content_of,
    for_each_file,
    plan_outputs,
    progress_bar,
    write_stdout,
)
from xcodec2.cli.pipes import check_pipe, decode_pipe
from xcodec2.extras import require


def files_unless_rows(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[Path, ...] | tuple[str, ...]:
    """Codes files that are there; with --id the one folder or URL of tokens."""
    if context.params.get("ids"):
        if len(values) > 1:
            raise click.UsageError("--id is for one folder of tokens", context)
        if Path(values[0]) == STDIO:
            raise click.UsageError(
                "--id names a row of an extraction, whose folder, shard or URL CODES has to be; "
                "standard input is one codes file",
                context,
            )
        return values
    for value in values:
        if Path(value).is_dir():
            raise click.BadParameter(
                f"{value} is a folder; of an extraction's folder, name rows with --id",
                context,
                parameter,
            )
    return tuple(INPUT_FILE_OR_STDIN.convert(value, parameter, context) for value in values)


@click.command()
@click.argument("codes", nargs=-1, required=True, callback=files_unless_rows)
@click.option(
    "--id",
    "ids",
    metavar="ID",
    multiple=True,
    is_eager=True,  # what CODES may be depends on it
    help="Row of an extraction, whose folder CODES then is; can be repeated.",
)
@click.option(
    "-o",
    "--out",
    metavar="OUT",
    help="Audio file, or - for standard output; a folder for several inputs. Required "
    "without --stream.",
)
@click.option(
    "--format",
    "audio_format",
    type=click.Choice(["wav", "flac", "ogg", "mp3"]),
    help="Format for a folder or standard output.  [default: wav; a single file's suffix]",
)
@model_option
@device_option
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "int8"]),
    default="float32",
    show_default=True,
    help="Precision. bfloat16 and int8 (CPUs only) are faster, about 40 and 30 dB from float32.",
)
@click.option(
    "--stream",
    is_flag=True,
    help="Decode standard input as it comes: speech tokens in, raw samples out (16-bit "
    "little-endian, mono, at the model's rate).",
)
def decode(
    codes: tuple[Path, ...] | tuple[str],
    ids: tuple[str, ...],
    out: str | None,
    audio_format: str | None,
    model_name: str,
    device: str,
    dtype: str,
    stream: bool,
) -> None:
    """Decode codes files into speech.

    CODES are files written by `xcodec2 encode`, .npy arrays, or text files of speech tokens as
    language models generate them (<|s_17|><|s_60001|>...); - is standard input. The suffix of OUT
    sets the format: .wav, .flac, .ogg or .mp3. With several inputs, or if OUT is a folder or ends
    in /, each input is written to OUT/NAME.wav. Existing files are overwritten. Prints one line per
    file. With --id, CODES is the output of `xcodec2 extract`: a folder, a shard, or a URL of
    either.

    With --stream, CODES is - and text of speech tokens, which may be cut anywhere. Raw 16-bit
    little-endian mono samples at the model's rate (`xcodec2 info` names it) are written to standard
    output as soon as they are final: those of the whole where the model's receptive field is
    finite.

    \b
    Examples:
      xcodec2 decode speech.npz -o speech.wav
      xcodec2 decode codes/*.npz -o decoded/ --format flac
      xcodec2 decode codes/*.npz -o decoded/ --dtype int8
      xcodec2 decode tokens/ --id u17 -o u17.wav
      xcodec2 encode - -o - < speech.wav | xcodec2 decode - -o - > again.wav
      xcodec2 encode - --stream < speech.raw | xcodec2 decode - --stream > again.raw
      tokens-of-an-lm | xcodec2 decode - --stream | aplay -f S16_LE -r 16000
    """
    if stream:
        if len(codes) > 1 or ids or audio_format:
            raise click.UsageError("--stream takes - alone, without --id and --format")
        check_pipe(codes[0], out, binary=True)
        decode_pipe(load_for_stream(model_name, device, dtype=dtype, decoder_only=True))
        return
    if out is None:
        raise click.UsageError("Missing option '-o' / '--out'.")
    from xcodec2.audio.io import save_audio
    from xcodec2.codes import Codes

    rows = rows_to_decode(codes[0], ids) if ids else {}
    sources = list(rows) if ids else [Path(code) for code in codes]
    pairs = plan_outputs(sources, out, audio_format or "wav")
    for _, target in pairs:
        if target == STDIO:
            continue
        check_audio_suffix(target)
        if audio_format and target.suffix.lower() != f".{audio_format}":
            raise click.UsageError(f"{target} and --format {audio_format} contradict each other")
    tokens = None
    if ids:
        from xcodec2.corpus.extraction import open_extraction

        tokens = open_extraction(codes[0])
    model = load_for_few(model_name, device, len(pairs), dtype=dtype, decoder_only=True)
    rate = model.sample_rate

    def work(source: Path) -> Callable[[Path], str]:
        item: Path | Codes = source
        if tokens is not None:
            item = tokens.load(rows[source])
        elif source == STDIO:
            item = Codes.load(
                content_of(source), frame_rate=model.frame_rate, codebook_size=model.codebook_size
            )
        with progress_bar("frames") as progress:
            waveform = model.decode(item, progress=progress)

        def save(target: Path) -> str:
            written = "standard output" if target == STDIO else str(target)
            told = f"{written}: {len(waveform) / rate:.2f} s of speech at {rate} Hz"
            if target != STDIO:
                save_audio(target, waveform, rate)
                return told
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder, f"speech.{audio_format or 'wav'}")
                save_audio(file, waveform, rate)
                write_stdout(file.read_bytes())
            return told

        return save

    for_each_file(pairs, work)


def rows_to_decode(tokens: str | Path, ids: tuple[str, ...]) -> dict[Path, str]:
    """A name for each row, as if it were a file, and its id."""
    from xcodec2.extract.names import clean

    require("pyarrow.parquet", extra="extract", purpose="--id")
    return {Path(tokens, "id", clean(id)): id for id in ids}
