"""`xcodec2 speak`: text to speech."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from xcodec2.cli.options import check_device, device_option
from xcodec2.cli.outputs import check_audio_suffix, check_parents, check_stdout

if TYPE_CHECKING:
    from xcodec2.llasa.backends.base import Sampling
    from xcodec2.llasa.search_report import Request
    from xcodec2.llasa.speaker import Speaker, Spoken
    from xcodec2.llasa.voices import StoredVoice, Voice
    from xcodec2.model import XCodec2Model


@click.command()
@click.argument("text")
@click.option(
    "-o",
    "--out",
    metavar="OUT",
    help="Audio file; - streams 16-bit PCM to stdout.  [required without --phonemes]",
)
@click.option(
    "--phonemes",
    is_flag=True,
    help="Show the phonemes of TEXT, which may be phonemes itself; without -o, do nothing else.",
)
@click.option(
    "--lm",
    metavar="LM",
    help="A folder, a Hugging Face id or a server's URL.  [default: bundled]",
)
@click.option(
    "--tokenizer", metavar="T", help="With a server: folder or id of the model it serves."
)
@click.option("--model", "model_name", metavar="MODEL", help="The codec.  [default: the LM's own]")
@device_option
@click.option(
    "--voice",
    metavar="CLIP|NAME",
    help="Clone the voice of this clip of 1 to 15 s, or of a name that `xcodec2 voices list` "
    "shows.",
)
@click.option("--voice-text", metavar="TEXT", help="Transcript of the clip.")
@click.option(
    "--voices",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where names are kept.  [default: as in `xcodec2 voices`]",
)
@click.option("--stream", is_flag=True, help="Write audio while it is generated.")
@click.option(
    "--api-key",
    metavar="KEY",
    envvar="OPENAI_API_KEY",
    show_envvar=True,
    help="API key for the server, sent as a bearer token.",
)
@click.option("--search", metavar="METHOD", help="Search method: best-of-8, beam-4x4, partial-4x4.")
@click.option(
    "--verifier",
    metavar="V",
    help="Selects among candidates: ctc, wer, cer, similarity, dnsmos, …  [default: ctc, the "
    "package's model that reads codes]",
)
@click.option(
    "--process-verifier", metavar="V", help="Selects among beams.  [default: the verifier]"
)
@click.option(
    "--report",
    "reports",
    multiple=True,
    metavar="V",
    help="Also score with this verifier, which does not select; can be repeated.",
)
@click.option(
    "--temperature",
    type=float,
    help="0 is greedy decoding.  [default: the model's own, else 0.8]",
)
@click.option("--top-p", default=1.0, show_default=True, help="Nucleus sampling threshold.")
@click.option("--top-k", default=0, show_default=True, help="Sample from the top k tokens; 0: all.")
@click.option(
    "--repetition-penalty",
    default=1.0,
    show_default=True,
    help="Values above 1 penalize repetition.",
)
@click.option(
    "--max-tokens", type=int, help="Limit per piece of text.  [default: the context length]"
)
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same speech.")
@click.option(
    "--timeout",
    default=120.0,
    show_default=True,
    help="Seconds to wait for an answer of a server.",
)
def speak(text: str, out: str | None, phonemes: bool, **options: Any) -> None:
    """Synthesize TEXT.

    Without --lm, the bundled model speaks: English, in its own voice or --voice bright, deep or
    low. A recognizer misses one of seven words of it, and the card says more. --voice also takes a
    clip or a voice of `xcodec2 voices`, which the bundled model keeps only roughly. Long text is
    spoken sentence by sentence in one voice. --search generates several candidates and writes all
    their scores to OUT.json.

    \b
    Examples:
      xcodec2 speak "Weasels have eaten our phone system" -o weasels.wav
      xcodec2 speak "Weasels have eaten our phone system" -o weasels.wav --stream
      xcodec2 speak "Weasels have eaten our phone system" -o weasels.wav --voice deep
      xcodec2 speak "The leader has left the conference." -o a.wav --search best-of-4
      xcodec2 speak "Hello there." -o a.wav --lm HKUSTAudio/Llasa-1B --model HKUSTAudio/xcodec2
      xcodec2 speak "Hello there." -o a.wav --lm mine/model --voice me.wav --voice-text "I say it."
      xcodec2 speak "Hello there." -o a.wav --lm mine/model --voice anna
      xcodec2 speak "Hello there." -o a.wav --lm http://127.0.0.1:8000 --tokenizer mine/model
      xcodec2 speak 'Dr. Smith paid $5 at 9:30am.' --phonemes
      xcodec2 speak "həlˈO ðˈɛɹ." --phonemes -o a.wav
    """
    if out is None:
        if not phonemes:
            raise click.UsageError("Missing option '-o' / '--out'.")
        show_phonemes(text)
        return
    check(out, **options)
    if options["search"] and not options["verifier"]:
        options["verifier"] = "ctc"
    if phonemes:
        text = show_phonemes(text, err=out == "-")
    from xcodec2.llasa.extra import require_llasa

    require_llasa("tokenizers")
    from xcodec2.llasa import Sampling, Search
    from xcodec2.llasa.search_report import Request
    from xcodec2.llasa.verifiers import verifier

    asked = options["temperature"]
    sampling = Sampling(
        Sampling.temperature if asked is None else asked,
        options["top_p"],
        options["top_k"],
        options["repetition_penalty"],
        options["max_tokens"],
    )
    search = Search.parse(options["search"]) if options["search"] else None
    names = (options["verifier"], options["process_verifier"], *options["reports"])
    request = Request(
        search=options["search"],
        verifier=options["verifier"],
        process_verifier=options["process_verifier"],
        verifiers={name: verifier(name, load=True) for name in names if name},
        seed=options["seed"],
        sampling=sampling,
    )
    stored = stored_voice(**options)
    streaming = options["stream"] or out == "-"
    whole = not (streaming or options["voice"] or options["search"] or options["reports"])
    speaker = load_speaker(**options, quick=whole)
    if asked is None:
        own = speaker.sampling if search is None else speaker.search_sampling
        sampling = replace(sampling, temperature=own.temperature)
        request = replace(request, sampling=sampling)
    voice = load_voice(speaker, stored, **options) if options["voice"] else None
    if streaming:
        stream(speaker, text, out, voice, sampling, options["seed"])
        return
    from xcodec2.audio.io import save_audio

    spoken = speaker.speak(
        text,
        voice=voice,
        sampling=sampling,
        seed=options["seed"],
        search=search,
        verifier=request.verifiers.get(options["verifier"]),
        process_verifier=request.verifiers.get(options["process_verifier"]),
    )
    save_audio(out, spoken.samples.clip(-1, 1), speaker.codec.sample_rate)
    seconds = len(spoken.samples) / speaker.codec.sample_rate
    click.echo(f"{seconds:.2f} s of speech, {len(spoken.codes)} tokens")
    if search is not None or options["reports"]:
        write_report(Path(out), speaker, spoken, voice, request)


def show_phonemes(text: str, *, err: bool = False) -> str:
    """Print the phonemes of a text; they themselves if the text was phonemes, else the text."""
    from xcodec2.llasa.text import looks_like_phonemes
    from xcodec2.llasa.text import phonemes as phonemes_of

    shown = phonemes_of(text)
    click.echo(shown, err=err)
    return shown if looks_like_phonemes(text) else text


def check(out: str, **options: Any) -> None:
    """Options that contradict each other are a usage error."""
    if out == "-":
        check_stdout()
    else:
        check_audio_suffix(Path(out))
        check_parents([Path(out)])
    streaming = options["stream"] or out == "-"
    if streaming and out != "-" and Path(out).suffix.lower() != ".wav":
        raise click.UsageError("--stream writes .wav, or PCM to - (stdout)")
    if streaming and (options["search"] or options["reports"]):
        raise click.UsageError("a search needs whole candidates: leave --stream out")
    if named(options["voice"]):
        if options["voice_text"]:
            raise click.UsageError("a voice by name has its transcript: leave --voice-text out")
    elif options["voice_text"] and not options["voice"]:
        raise click.UsageError("--voice-text is the transcript of a clip: give it as --voice")
    elif options["voice"] and not (options["voice_text"] or hears_clips(**options)):
        raise click.UsageError(
            "--voice and --voice-text belong together, unless it is a name, or a model of a "
            "phoneme track"
        )
    if options["verifier"] and not options["search"]:
        raise click.UsageError("--verifier chooses among candidates: give --search, too")
    if options["process_verifier"] and not options["search"]:
        raise click.UsageError("--process-verifier needs --search")
    if is_server(options["lm"]) != bool(options["tokenizer"]):
        raise click.UsageError("a server as --lm needs --tokenizer, and nothing else does")
    names = (options["verifier"], options["process_verifier"], *options["reports"])
    if not options["voice"] and any(str(name).partition("-")[0] == "similarity" for name in names):
        raise click.UsageError("similarity compares with a voice clip: give --voice")
    check_device(options["device"])


def is_server(lm: str | None) -> bool:
    """Whether `--lm` is the address of a server."""
    return str(lm or "").startswith(("http://", "https://"))


def named(voice: str | None) -> bool:
    """Whether `--voice` is a name of a store: a clip has a suffix or is in a folder, or exists."""
    from xcodec2.llasa.voices import ID

    return voice is not None and bool(ID.fullmatch(voice)) and not Path(voice).is_file()


def hears_clips(*, lm: str | None, tokenizer: str | None, **_: Any) -> bool:
    """Whether the language model needs no transcript of a clip."""
    from xcodec2.llasa.lm import load_metadata

    return load_metadata(tokenizer or lm).track


def stored_voice(
    *, voice: str | None, voices: Path | None, lm: str | None, tokenizer: str | None, **_: Any
) -> StoredVoice | None:
    """The voice of a name, read before any model is."""
    from xcodec2.llasa.voices import VoiceStore, known_voice

    return known_voice(str(voice), VoiceStore(voices), tokenizer or lm) if named(voice) else None


def load_voice(speaker: Speaker, stored: StoredVoice | None, **options: Any) -> Voice:
    """The voice to speak in: of a name, or of a clip."""
    from xcodec2.llasa.voices import voice_of

    if stored is not None:
        return voice_of(stored, speaker)
    return speaker.voice(options["voice"], options["voice_text"] or "")


def load_speaker(
    *,
    lm: str | None,
    tokenizer: str | None,
    model_name: str | None,
    device: str,
    quick: bool = False,
    **options: Any,
) -> Speaker:
    """The language model and its codec, without transformers' own messages; with `quick` a codec
    for one recording, without PyTorch where that gives the same, sooner.
    """
    from xcodec2.llasa import Speaker

    # before transformers is imported, which a model in a folder does without
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if tokenizer:
        return Speaker.connect(
            str(lm),
            tokenizer,
            model_name,
            device=device,
            api_key=options["api_key"],
            timeout=options["timeout"],
        )
    if not quick:
        return Speaker.from_pretrained(lm, model_name, device=device)
    from xcodec2.llasa.backends.local import InProcess
    from xcodec2.llasa.lm import load_for_speech
    from xcodec2.llasa.speaker import codec_for, name_of_codec
    from xcodec2.quick import quick_model

    backend = InProcess(load_for_speech(lm, device=device))
    codec = quick_model(str(name_of_codec(backend, model_name)), device)
    if codec is None:
        return Speaker(backend, codec_for(backend, model_name, device))
    return Speaker(backend, cast("XCodec2Model", codec))  # of which `speak` only needs `decode`


def stream(
    speaker: Speaker, text: str, out: str, voice: Voice | None, sampling: Sampling, seed: int
) -> None:
    """Sound as it comes: PCM to stdout, or a .wav file that appears when it is whole."""
    import soundfile

    from xcodec2.audio.samples import pcm16
    from xcodec2.errors import AudioError
    from xcodec2.files import replacing

    started, first, samples, tokens = time.perf_counter(), None, 0, 0

    def count(piece: str, codes: Any) -> None:
        nonlocal tokens
        tokens += len(codes)

    def pcm() -> Any:
        nonlocal first, samples
        for waveform in speaker.stream(
            text, voice=voice, sampling=sampling, seed=seed, on_piece=count
        ):
            first = first or time.perf_counter() - started
            samples += len(waveform)
            yield pcm16(waveform.numpy()).astype("<i2")

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
        f"first sound after {first or took:.2f} s of {took:.2f} s; "
        f"{seconds:.2f} s of speech, {tokens} tokens",
        err=True,
    )


def write_report(
    out: Path, speaker: Speaker, spoken: Spoken, voice: Voice | None, request: Request
) -> None:
    """OUT.json: the budget, the seed and every candidate's scores; a line for the chosen ones."""
    from xcodec2.errors import AudioError
    from xcodec2.files import replacing
    from xcodec2.llasa.search_report import search_report

    facts = search_report(speaker, spoken, voice, request)
    path = out.with_name(f"{out.name}.json")
    with replacing(path, AudioError) as file:
        file.write((json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode())
    for name, value in facts["chosen"].items():
        role = "chose" if request.chose(name) else "did not choose"
        click.echo(f"{name:<20}{'not judged' if value is None else f'{value:.3f}'} ({role})")
    click.echo(f"all scores: {path}")
