"""`xcodec2 serve`: speech and codes over HTTP and WebSocket."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from xcodec2.cli.options import INPUT_FILE, check_device, device_option
from xcodec2.cli.speak import is_server, load_speaker
from xcodec2.cli.terminal import say

if TYPE_CHECKING:
    from xcodec2.serve.service import Loaded

SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMG]?)B?", re.IGNORECASE)
UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}
MIN_KEY = 8  # characters


@click.command()
@click.option(
    "--lm",
    metavar="LM",
    help="A folder, a Hugging Face id or a server's URL; none serves a codec alone.  "
    "[default: bundled]",
)
@click.option(
    "--tokenizer", metavar="T", help="With a server: folder or id of the model it serves."
)
@click.option("--model", "model_name", metavar="MODEL", help="The codec.  [default: the LM's own]")
@device_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8000, show_default=True, help="0: a free one."
)
@click.option(
    "--api-key-file",
    metavar="KEYS",
    type=INPUT_FILE,
    help="File of API keys, one a line; each request has to bring one.",
)
@click.option("--no-auth", is_flag=True, help="Let anyone in who reaches --host.")
@click.option(
    "--voices",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of voices.  [default: that of `xcodec2 voices`]",
)
@click.option(
    "--max-queue",
    type=click.IntRange(0),
    default=64,
    show_default=True,
    help="Speech requests that wait; more are told to come back (429).",
)
@click.option(
    "--max-streams",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Speech that is generated at once.",
)
@click.option(
    "--max-upload", metavar="SIZE", default="25MB", show_default=True, help="Largest body."
)
@click.option(
    "--cors",
    metavar="ORIGIN",
    multiple=True,
    help="Let pages of this origin call, such as https://example.org; can be repeated; * is all.",
)
@click.option(
    "--ctc",
    metavar="FILE",
    type=INPUT_FILE,
    help="A model of `xcodec2 llasa ctc`: it transcribes, and chooses in searches.  "
    "[default: a recognizer transcribes; the package's chooses]",
)
@click.option(
    "--recognizer",
    default="moonshine",
    show_default=True,
    help="Transcribes where there is no --ctc.",
)
@click.option(
    "--lm-key",
    metavar="KEY",
    envvar="OPENAI_API_KEY",
    show_envvar=True,
    help="API key for the language model's server.",
)
@click.option("--log-text", is_flag=True, help="Write what is said to the log.")
@click.option(
    "--static",
    "static_site",
    metavar="OUT",
    type=click.Path(file_okay=False, path_type=Path),
    help="Serve nothing: write the page to a folder that needs no server of ours. It encodes and "
    "decodes in the browser.",
)
def serve(**options: Any) -> None:
    """Serve speech and codes over HTTP and WebSocket, with OpenAI's routes and a page at /.

    Nothing leaves this machine: the server listens on loopback, and refuses to listen elsewhere
    without --api-key-file unless --no-auth says so. SIGTERM lets running requests finish.

    \b
    Examples:
      xcodec2 serve
      xcodec2 serve --lm mine/model --voices voices/ --ctc ctc.safetensors
      xcodec2 serve --lm http://127.0.0.1:8080 --tokenizer mine/model --device cuda
      xcodec2 serve --host 0.0.0.0 --port 80 --api-key-file keys.txt --cors https://example.org
      xcodec2 serve --lm none --model HKUSTAudio/xcodec2
      xcodec2 serve --static site/
      curl http://127.0.0.1:8000/v1/audio/speech -o hello.mp3 \\
        -d '{"input": "Weasels have eaten our phone system"}'
    """
    if options["static_site"] is not None:
        check_static(click.get_current_context())
        write_site(options["static_site"], options["model_name"] or "nano")
        return
    check_serving(**options)
    from xcodec2.extras import require

    require(
        *("fastapi", "uvicorn", "websockets", "prometheus_client", "python_multipart", "av"),
        extra="serve",
        purpose="the server",
    )
    import logging

    from xcodec2.serve import Limits, create_app
    from xcodec2.serve.server import is_loopback, listening, serve_app, url_of

    keys = keys_of(options["api_key_file"])
    limits = Limits(
        max_queue=options["max_queue"],
        max_streams=options["max_streams"],
        max_upload=bytes_of(options["max_upload"]),
    )
    local = is_loopback(options["host"]) and not keys
    app = create_app(
        load=lambda: load_models(**options),
        recognizer=options["recognizer"],
        voices_folder=options["voices"],
        keys=keys,
        limits=limits,
        cors=options["cors"],
        hosts=("localhost", "127.0.0.1", "::1", options["host"]) if local else (),
        log_text=options["log_text"],
    )
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    for noisy in ("uvicorn.error", "httpx", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    listener = listening(options["host"], options["port"])
    click.echo(f"xcodec2 serve: {url_of(listener)}", err=True)
    serve_app(app, listener)


def write_site(out: Path, model: str) -> None:
    """The page without a server."""
    from xcodec2.serve.static_site import write_static_site

    size = sum(file.stat().st_size for file in write_static_site(model, out).rglob("*"))
    say(f"{out}  {size / 1e6:.0f} MB; any server of files will do, such as:")
    say(f"  python -m http.server --bind 127.0.0.1 --directory {shlex.quote(str(out))}")


def check_static(context: click.Context) -> None:
    """Options of a server are a usage error where nothing is served."""
    given = [
        max(option.opts, key=len)
        for option in context.command.params
        if option.name not in ("static_site", "model_name")
        and context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(
            f"--static serves nothing, so that {', '.join(given)} can have no effect: it takes "
            "--model alone"
        )


def check_serving(**options: Any) -> None:
    """Options that contradict each other are a usage error."""
    from xcodec2.serve.server import is_loopback

    if not (is_loopback(options["host"]) or options["api_key_file"] or options["no_auth"]):
        raise click.UsageError(
            f"{options['host']} can be reached from elsewhere: give --api-key-file, or --no-auth "
            "where anyone may speak"
        )
    if options["api_key_file"] and options["no_auth"]:
        raise click.UsageError("--api-key-file and --no-auth contradict each other")
    if is_server(options["lm"]) != bool(options["tokenizer"]):
        raise click.UsageError("a server as --lm needs --tokenizer, and nothing else does")
    bytes_of(options["max_upload"])
    check_device(options["device"])


def bytes_of(size: str) -> int:
    """25MB → 25,000,000."""
    match = SIZE.fullmatch(size.strip())
    count = int(float(match[1]) * UNITS[match[2].upper()]) if match else 0
    if count < 1:
        raise click.BadParameter(f"{size!r} is no size such as 25MB", param_hint="'--max-upload'")
    return count


def keys_of(path: Path | None) -> list[str]:
    """The keys of a file: one a line, without white space; # begins a comment."""
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # editors put a mark before it
    except (OSError, UnicodeDecodeError) as problem:
        raise click.UsageError(f"{path}: cannot be read as text ({problem})") from problem
    keys = [text for line in lines if (text := line.strip()) and not text.startswith("#")]
    if not keys:
        raise click.UsageError(f"{path}: holds no key")
    if any(len(key) < MIN_KEY or not key.isascii() for key in keys):
        raise click.UsageError(f"{path}: a key has at least {MIN_KEY} characters of ASCII")
    return keys


def load_models(*, lm: str | None, ctc: Path | None, lm_key: str | None, **options: Any) -> Loaded:
    """The models, in a thread of the server that already listens."""
    from xcodec2 import XCodec2Model
    from xcodec2.llasa.verifiers import CtcVerifier
    from xcodec2.serve.service import Loaded

    reader = CtcVerifier(str(ctc)) if ctc is not None else None
    name, device = options["model_name"], options["device"]
    if lm == "none":
        return Loaded(XCodec2Model.from_pretrained(name or "nano", device=device), None, reader)
    from xcodec2.llasa.extra import require_llasa
    from xcodec2.llasa.voices import preset_store

    require_llasa("transformers")
    speaker = load_speaker(
        lm=lm,
        tokenizer=options["tokenizer"],
        model_name=name,
        device=device,
        api_key=lm_key,
        timeout=120.0,
    )
    return Loaded(speaker.codec, speaker, reader, preset_store(lm))
