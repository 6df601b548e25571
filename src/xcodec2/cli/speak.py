"""`xcodec2 speak`: text to speech."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xcodec2.cli.options import device_option, load_model
from xcodec2.cli.outputs import check_audio_suffix, check_parents

if TYPE_CHECKING:
    from xcodec2.llasa.backends.local import Backend, Sampling
    from xcodec2.llasa.speaker import Speaker, Spoken, Voice
    from xcodec2.llasa.verifiers import Verifier


@click.command()
@click.argument("text")
@click.option(
    "-o", "--out", required=True, metavar="OUT", help="Audio file; - streams 16-bit PCM to stdout."
)
@click.option(
    "--lm",
    metavar="LM",
    help="A folder, a Hugging Face id or a server's http:// address.  [the one inside]",
)
@click.option(
    "--tokenizer", metavar="T", help="With a server: folder or id of the model that it serves."
)
@click.option(
    "--model", "model_name", metavar="MODEL", help="The codec.  [what the LM says it speaks]"
)
@device_option
@click.option(
    "--voice",
    metavar="CLIP",
    type=click.Path(path_type=Path),
    help="Speak like this clip, of 1 to 15 s.",
)
@click.option("--voice-text", metavar="TEXT", help="What the clip says.")
@click.option("--stream", is_flag=True, help="Write sound while the model is still at work.")
@click.option(
    "--search", "how", metavar="HOW", help="Spend more compute: best-of-8, beam-4x4, partial-4x4."
)
@click.option(
    "--verifier",
    "verifier_name",
    metavar="V",
    help="Chooses among candidates: wer, similarity, dnsmos, …",
)
@click.option(
    "--process-verifier", "process_name", metavar="V", help="Chooses among beams.  [the verifier]"
)
@click.option(
    "--report",
    "reports",
    multiple=True,
    metavar="V",
    help="Also score with a verifier that does not choose.",
)
@click.option("--temperature", default=0.8, show_default=True, help="0 takes the likeliest token.")
@click.option(
    "--top-p", default=1.0, show_default=True, help="Draw from this share of the probability."
)
@click.option("--top-k", default=0, show_default=True, help="Draw from this many tokens; 0: all.")
@click.option(
    "--repetition-penalty",
    default=1.0,
    show_default=True,
    help="Above 1, repeated tokens are rarer.",
)
@click.option("--max-tokens", type=int, help="Of one piece of the text.  [the context's end]")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same speech.")
@click.option(
    "--timeout",
    default=120.0,
    show_default=True,
    help="Seconds that a server may take for one answer.",
)
def speak(text: str, out: str, **options: Any) -> None:
    """Speak TEXT.

    Without --lm the small model inside the package speaks: it has learned six sentences and no
    more; its card lists them. With a LLaSA, --voice clones a voice, and long text is spoken
    sentence by sentence in one voice. --search makes many candidates and writes all their scores
    beside the audio, as OUT.json.

    \b
    Examples:
      xcodec2 speak "Weasels have eaten our phone system" -o weasels.wav
      xcodec2 speak "Weasels have eaten our phone system" -o weasels.wav --stream
      xcodec2 speak "The leader has left the conference." -o a.wav --search best-of-8 --verifier wer --report dnsmos
      xcodec2 speak "Hello there." -o a.wav --lm HKUSTAudio/Llasa-1B --model HKUSTAudio/xcodec2 --device cuda
      xcodec2 speak "Hello there." -o a.wav --lm runs/mine/model --voice me.wav --voice-text "What I say in it."
      xcodec2 speak "Hello there." -o a.wav --lm http://127.0.0.1:8000 --tokenizer runs/mine/model
    """
    check(out, **options)
    from xcodec2.llasa.extra import require

    require("transformers")
    from xcodec2.llasa.backends.local import Sampling
    from xcodec2.llasa.search import Search
    from xcodec2.llasa.verifiers import verifier

    how = Search.parse(options["how"]) if options["how"] else None
    sampling = Sampling(
        options["temperature"],
        options["top_p"],
        options["top_k"],
        options["repetition_penalty"],
        options["max_tokens"],
    )
    names = (options["verifier_name"], options["process_name"], *options["reports"])
    verifiers = {name: verifier(name) for name in names if name}
    speaker = load_speaker(**options)
    voice = speaker.voice(options["voice"], options["voice_text"]) if options["voice"] else None
    if options["stream"] or out == "-":
        stream(speaker, text, out, voice, sampling, options["seed"])
        return
    from xcodec2.audio.io import save_audio

    spoken = speaker.speak(
        text,
        voice=voice,
        sampling=sampling,
        seed=options["seed"],
        how=how,
        verifier=verifiers.get(options["verifier_name"]),
        process=verifiers.get(options["process_name"]),
    )
    save_audio(out, spoken.waveform.clamp(-1, 1), speaker.codec.sample_rate)
    click.echo(
        f"{len(spoken.waveform) / speaker.codec.sample_rate:.2f} s of speech, {len(spoken.codes)} tokens"
    )
    if how is not None or options["reports"]:
        write_report(Path(out), speaker, spoken, voice, verifiers, options)


def check(out: str, **options: Any) -> None:
    """Options that contradict each other are bad use."""
    if out != "-":
        check_audio_suffix(Path(out))
        check_parents([Path(out)])
    streaming = options["stream"] or out == "-"
    if streaming and out != "-" and Path(out).suffix.lower() != ".wav":
        raise click.UsageError("--stream writes .wav, or PCM to - (stdout)")
    if streaming and (options["how"] or options["reports"]):
        raise click.UsageError("a search needs whole candidates: leave --stream out")
    if bool(options["voice"]) != bool(options["voice_text"]):
        raise click.UsageError("--voice and --voice-text belong together")
    if bool(options["how"]) != bool(options["verifier_name"]):
        raise click.UsageError("--search and --verifier belong together")
    if options["process_name"] and not options["how"]:
        raise click.UsageError("--process-verifier needs --search")
    server = str(options["lm"] or "").startswith(("http://", "https://"))
    if server != bool(options["tokenizer"]):
        raise click.UsageError("a server as --lm needs --tokenizer, and nothing else does")


def load_speaker(
    *, lm: str | None, tokenizer: str | None, model_name: str | None, **options: Any
) -> Speaker:
    """The back end and its codec."""
    from transformers.utils import logging

    from xcodec2.llasa.lm import load_lm
    from xcodec2.llasa.speaker import Speaker
    from xcodec2.llasa.vocabulary import LlasaError

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    backend: Backend
    if tokenizer:
        backend = connect(str(lm), tokenizer, options["timeout"])
    else:
        from xcodec2.llasa.backends.local import InProcess

        backend = InProcess(load_lm(lm, device=options["device"]))
    name = model_name or (backend.about.codec.model if backend.about.codec else None)
    if not name:
        raise LlasaError(
            f"{backend.name} does not say which codec its tokens are of: give it as --model"
        )
    return Speaker(backend, load_model(name, options["device"]))


def connect(url: str, tokenizer: str, timeout: float) -> Backend:
    """A server, with the tokenizer of the model that it serves."""
    from xcodec2.llasa.backends.server import Server
    from xcodec2.llasa.lm import About, load_tokenizer
    from xcodec2.llasa.prompts import Prompts

    prompts = Prompts.of(load_tokenizer(tokenizer), tokenizer)
    return Server(url, prompts, About.of(Path(tokenizer)), timeout=timeout)


def stream(
    speaker: Speaker, text: str, out: str, voice: Voice | None, sampling: Sampling, seed: int
) -> None:
    """Sound as it comes: PCM to stdout, or a .wav file that appears when it is whole."""
    import numpy as np
    import soundfile

    from xcodec2.errors import AudioError
    from xcodec2.files import replacing

    started, first, samples, tokens = time.perf_counter(), None, 0, 0

    def heard(piece: str, codes: Any) -> None:
        nonlocal tokens
        tokens += len(codes)

    def pcm() -> Any:
        nonlocal first, samples
        for waveform in speaker.stream(
            text, voice=voice, sampling=sampling, seed=seed, heard=heard
        ):
            first = first or time.perf_counter() - started
            samples += len(waveform)
            yield np.clip(np.rint(waveform.numpy() * 32768), -32768, 32767).astype("<i2")

    if out == "-":
        for chunk in pcm():
            sys.stdout.buffer.write(chunk.tobytes())
            sys.stdout.buffer.flush()
    else:
        with (
            replacing(out, AudioError) as file,
            soundfile.SoundFile(
                file, "w", speaker.codec.sample_rate, 1, "PCM_16", format="WAV"
            ) as sound,
        ):
            for chunk in pcm():
                sound.write(chunk)
    took, seconds = time.perf_counter() - started, samples / speaker.codec.sample_rate
    click.echo(
        f"first sound after {first or took:.2f} s of {took:.2f} s; {seconds:.2f} s of speech, {tokens} tokens",
        err=True,
    )


def write_report(
    out: Path,
    speaker: Speaker,
    spoken: Spoken,
    voice: Voice | None,
    verifiers: dict[str, Verifier],
    options: dict[str, Any],
) -> None:
    """OUT.json: the budget, the seed and every candidate's scores; a line for the chosen ones."""
    from xcodec2.errors import AudioError
    from xcodec2.files import replacing
    from xcodec2.llasa.training.report import report

    facts = report(speaker, spoken, voice, verifiers, options)
    path = out.with_name(f"{out.name}.json")
    with replacing(path, AudioError) as file:
        file.write((json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode())
    for name, value in facts["chosen"].items():
        role = (
            "chose"
            if name in (options["verifier_name"], options["process_name"])
            else "did not choose"
        )
        click.echo(f"{name:<20}{'not judged' if value is None else f'{value:.3f}'} ({role})")
    click.echo(f"all scores: {path}")
