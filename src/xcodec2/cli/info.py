"""`xcodec2 info`: what a model or a codes file is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xcodec2.cli.options import at_revision, load_model, revision_option
from xcodec2.cli.outputs import STDIO, content_of
from xcodec2.cli.terminal import say, say_lines
from xcodec2.errors import CodesError, XCodec2Error

if TYPE_CHECKING:
    from xcodec2.codec.checkpoints.remote import RemoteModel
    from xcodec2.codec.config import XCodec2Config
    from xcodec2.codes import Codes


@click.command()
@click.argument("source", metavar="MODEL_OR_CODES")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@revision_option
def info(source: str, as_json: bool, revision: str | None) -> None:
    """Describe a model or a codes file.

    A model is nano, a folder, a checkpoint file or a Hugging Face id; - is a codes file on standard
    input. Of a model on the Hugging Face Hub that is not in the cache, nothing but the model card
    and the headers of its files is fetched: enough to tell license, rates and size.

    \b
    Examples:
      xcodec2 info nano
      xcodec2 info speech.npz
      xcodec2 info HKUSTAudio/xcodec2-hf --json
      xcodec2 info Scicom-intl/xcodec2-25TPS-24k --revision main
      xcodec2 encode speech.wav -o - | xcodec2 info -
    """
    facts = describe(at_revision(source, revision))
    if as_json:
        say_lines(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        if isinstance(value, dict):
            say(name)
            for part, count in value.items():
                say(f"  {part:<18}{count:>13,}")
        else:
            say(f"{name:<20}{'unknown' if value is None else value}")


def describe(source: str) -> dict[str, Any]:
    """The facts about whichever `source` is."""
    not_codes = None
    if Path(source) == STDIO:
        return piped_facts()
    if Path(source).is_file():
        from xcodec2.codes import Codes

        try:
            return codes_facts(Codes.load(source))
        except CodesError as error:
            not_codes = error
    try:
        return model_facts(source)
    except XCodec2Error as error:
        if not_codes is None:
            raise
        raise XCodec2Error(f"neither a codes file nor a model: {not_codes}; {error}") from error


def piped_facts() -> dict[str, Any]:
    """The facts about a codes file on standard input."""
    from xcodec2.codes import Codes

    content = content_of(STDIO)
    try:
        return codes_facts(Codes.load(content))
    except CodesError as error:
        raise CodesError(
            f"standard input: {error}; codes can be piped, a model or audio has to be named"
        ) from error


def codes_facts(codes: Codes) -> dict[str, Any]:
    """What a codes file says about itself."""
    return {
        "kind": "codes",
        "tokens": len(codes),
        "different_tokens": len(set(codes.array.tolist())),
        "duration": codes.duration,
        "num_samples": codes.num_samples,
        "sample_rate": codes.sample_rate,
        "frame_rate": codes.frame_rate,
        "codebook_size": codes.codebook_size,
        "model": codes.model,
        "weights_hash": codes.weights_hash,
    }


def model_facts(name: str) -> dict[str, Any]:
    """What a model is, with the parameters of each part."""
    from xcodec2.codec.checkpoints import hub
    from xcodec2.codec.checkpoints.small import OWN_MODEL_TYPE, read_small

    # the weights of a model on the Hub need not be fetched to be described
    small = None if hub.remote_id(name) else read_small(name)
    if small is None:
        return loaded_facts(name)
    return rows_of_model(
        name, small.name, OWN_MODEL_TYPE, small.weights_hash, small.config, small.parts
    )


def loaded_facts(name: str) -> dict[str, Any]:
    """The same of a model that PyTorch has to load."""
    from xcodec2.codec.checkpoints import remote
    from xcodec2.codec.checkpoints.load import read_checkpoint

    if elsewhere := remote.look_at(name):
        return remote_facts(elsewhere)
    form = read_checkpoint(name).format
    model = load_model(name, "cpu")
    parts = {
        part: sum(p.numel() for p in module.parameters()) for part, module in model.named_children()
    }
    return rows_of_model(name, model.model_id, form, model.weights_hash, model.config, parts)


def rows_of_model(
    name: str,
    model_id: str,
    form: str,
    weights_hash: str | None,
    config: XCodec2Config,
    parts: dict[str, int],
) -> dict[str, Any]:
    """The facts by name."""
    from xcodec2.codec.checkpoints import client, hub

    return {
        "kind": "model",
        "model": model_id,
        "format": form,
        "license": client.license_in(hub.find_card(name)),
        "weights_hash": weights_hash,
        "input_rate": config.input_rate,
        "sample_rate": config.sample_rate,
        "frame_rate": config.frame_rate,
        "hop": config.hop,
        "codebook_size": config.codebook_size,
        "parameters": parts | {"total": sum(parts.values())},
    }


def remote_facts(model: RemoteModel) -> dict[str, Any]:
    """What is known of a model before its weights are fetched."""
    from xcodec2.codec.network import CodecNetwork

    config = model.config
    facts: dict[str, Any] = {
        "kind": "model on the Hub",
        "model": model.name,
        "format": model.format,
        "license": model.license,
        "download": f"{model.download_bytes / 1e6:,.1f} MB, not fetched",
    }
    if config is None:  # only the whole file tells
        return facts | dict.fromkeys(("input_rate", "sample_rate", "frame_rate", "codebook_size"))
    parts = {
        part: sum(p.numel() for p in module.parameters())
        for part, module in CodecNetwork(config, device="meta").named_children()
    }
    return facts | {
        "input_rate": config.input_rate,
        "sample_rate": config.sample_rate,
        "frame_rate": config.frame_rate,
        "hop": config.hop,
        "codebook_size": config.codebook_size,
        "parameters": parts | {"total": sum(parts.values())},
    }
