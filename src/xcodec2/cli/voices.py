"""`xcodec2 voices`: named voices for `xcodec2 speak --voice NAME`, kept as codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from xcodec2.cli.options import INPUT_FILE, check_device, device_option, load_model, model_option
from xcodec2.printable import printable

folder_option = click.option(
    "--voices",
    "folder",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where voices are kept.  [default: XCODEC2_VOICES, or the user's data folder]",
)


@click.group()
def voices() -> None:
    """Keep named voices: the codes of a clip, what it says, and who allowed its use.

    \b
    Examples:
      xcodec2 voices add anna anna.wav --text "What Anna says." --consent "Anna, by letter"
      xcodec2 voices list
      xcodec2 voices remove anna
    """


@voices.command("list")
@folder_option
@click.option(
    "--lm", metavar="LM", help="Also list the voices that this model brings.  [default: bundled]"
)
def list_voices(folder: Path | None, lm: str | None) -> None:
    """List the voices: name, seconds, codec, consent, transcript.

    \b
    Examples:
      xcodec2 voices list
      xcodec2 voices list --voices shared/voices
      xcodec2 voices list --lm runs/mine/model
    """
    from itertools import chain

    from xcodec2.llasa.voices import VoiceStore, preset_store

    store = VoiceStore(folder)
    presets = (voice for voice in preset_store(lm) if voice.id not in store)
    for voice in chain(store, presets):
        shown = (
            voice.id,
            f"{voice.codes.duration:.1f} s",
            voice.codes.model or "unknown codec",
            voice.consent,
            voice.text,
        )
        click.echo("\t".join(printable(cell) for cell in shown))
    if not (store.ids() or preset_store(lm).ids()):
        click.echo(f"no voices in {store.folder}; `xcodec2 voices add` makes one", err=True)


@voices.command()
@click.argument("name")
@click.argument("clip", type=INPUT_FILE)
@click.option("--text", metavar="TEXT", help="Transcript of the clip.  [default: a recognizer's]")
@click.option(
    "--consent",
    required=True,
    metavar="TEXT",
    help="Who allowed this use of the voice; it is kept.",
)
@click.option(
    "--recognizer",
    default="moonshine",
    show_default=True,
    metavar="R",
    help="What transcribes without --text: moonshine (English), pocketsphinx or a Hugging Face id.",
)
@click.option("--replace", is_flag=True, help="Replace a voice of this name.")
@folder_option
@model_option
@device_option
def add(
    name: str,
    clip: Path,
    folder: Path | None,
    replace: bool,
    model_name: str,
    device: str,
    **options: Any,
) -> None:
    """Add the voice of CLIP, 1 to 15 s of clean speech, as NAME.

    NAME is letters, digits, - and _. The clip is kept as codes, not as audio: a voice belongs to
    one codec, and a language model over another refuses it.

    \b
    Examples:
      xcodec2 voices add anna anna.wav --text "What Anna says." --consent "Anna, by letter"
      xcodec2 voices add me me.flac --consent "my own voice"
      xcodec2 voices add anna anna.wav --consent "Anna" --model HKUSTAudio/xcodec2
    """
    check_device(device)
    from xcodec2.llasa.voices import VoiceStore, check_id, make_voice

    store = VoiceStore(folder)
    check_id(name)
    if name in store and not replace:  # before the codec is loaded
        raise click.UsageError(f"there is a voice {name} already: --replace, or another name")
    voice = make_voice(name, load_model(model_name, device), clip, **options)
    path = store.add(voice, replace=replace)
    if voice.text_source != "given":
        click.echo(f"{voice.text_source} hears: {printable(voice.text)}")
        click.echo("a wrong transcript makes a poor voice: if it is, add it again with --text")
    click.echo(f"{voice.id}: {voice.codes.duration:.1f} s, {len(voice.codes)} codes, {path}")


@voices.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@folder_option
def remove(names: tuple[str, ...], folder: Path | None) -> None:
    """Remove voices.

    \b
    Examples:
      xcodec2 voices remove anna
    """
    from xcodec2.llasa.voices import VoiceStore

    store = VoiceStore(folder)
    for name in names:
        store.remove(name)
        click.echo(f"{name}: removed")
