"""Voices for a LLaSA that takes clips: chosen from a corpus of codes, and how well they are kept.

    python scripts/llasa_presets.py runs/llasa/voices/model --out runs/llasa/voices/model/voices \\
        bella=data/llasa/kokoro/train:af_bella-en low=data/llasa/pseudo/train:hibari-017

NAME=EXTRACTION:VOICE takes of that voice's rows the one of 2.5 to 4 s that the CTC model reads best
and keeps it as NAME, a file of `xcodec2 voices`. Then each voice, and the model without one, says
some of scripts/llasa_corpus/unseen.tsv. Printed: word errors of Moonshine base, and the similarity
of Resemblyzer's vectors to that voice's clip and to the other voices' clips, as the codec decodes
them. Voices are synthetic: whoever adds others, states their consent.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from llasa_understood import RATE, narrow, read_out, read_sentences
from tqdm import tqdm

from xcodec2 import evaluators
from xcodec2.codes import Codes
from xcodec2.corpus.extraction import open_extraction
from xcodec2.evaluators.text import word_errors
from xcodec2.llasa import Speaker
from xcodec2.llasa.voices import StoredVoice, VoiceStore, voice_of
from xcodec2.transcribe import Transcriber

SECONDS = (2.5, 4.0)
COLUMNS = ("codes", "words", "phonemes", "voice")
CONSENT = "a synthetic voice, Apache-2.0: nobody has to be asked"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lm", help="a folder")
    parser.add_argument("voices", nargs="+", metavar="NAME=EXTRACTION:VOICE")
    parser.add_argument("--out", type=Path, required=True, help="folder of voices")
    parser.add_argument("--sentences", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(1)
    speaker, reader, store = (
        Speaker.from_pretrained(args.lm),
        Transcriber.load(),
        VoiceStore(args.out),
    )
    for asked in args.voices:
        name, _, rest = asked.partition("=")
        source, _, voice = rest.rpartition(":")
        store.add(clip_of(name, source, voice, reader, speaker), replace=True)
    voices = {"(none)": None} | {one.id: voice_of(one, speaker) for one in store}
    encoder = evaluators.speaker_encoder("resemblyzer")
    clips = {name: encoder.embed(one.waveform) for name, one in voices.items() if one}
    sentences = read_sentences(args.sentences)
    print("| voice | WER | similarity to its clip | to other clips |\n|---|---|---|---|")
    for name, voice in voices.items():
        wrong = total = 0
        own, others = [], []
        for sentence in tqdm(sentences, name):
            spoken = speaker.speak(sentence.text, voice=voice)
            waveform = narrow(spoken.samples, speaker.codec)
            heard = read_out(evaluators.asr("moonshine").transcribe(waveform))
            errors = word_errors(read_out(sentence.text), heard)
            wrong, total = wrong + min(errors.wrong, errors.total), total + errors.total
            vector = encoder.embed(waveform)
            for clip, other in clips.items():
                (own if clip == name else others).append(float(vector @ other))
        kept = f"{np.mean(own):.3f}" if own else ""
        print(f"| {name} | {wrong / total:.3f} | {kept} | {np.mean(others):.3f} |", flush=True)


def clip_of(
    name: str, source: str, voice: str, reader: Transcriber, speaker: Speaker
) -> StoredVoice:
    """The row that is read best, as a voice."""
    identity = speaker.codec.identity
    rows = [
        row
        for shard in open_extraction(source, columns=COLUMNS).shards()
        for row in shard.rows(list(COLUMNS))
        if row["voice"] == voice
        and row["codes"]
        and SECONDS[0] <= len(row["codes"]) / identity.frame_rate <= SECONDS[1]
    ]
    if not rows:
        raise SystemExit(f"{source}: no row of {voice} has {SECONDS[0]} to {SECONDS[1]} s")
    best = max(rows, key=lambda row: reader.score_phones(np.asarray(row["codes"]), row["phonemes"]))
    codes = Codes(
        torch.tensor(best["codes"]),
        num_samples=len(best["codes"]) * RATE // identity.frame_rate,
        sample_rate=RATE,
        frame_rate=identity.frame_rate,
        codebook_size=identity.codebook_size,
        model=identity.model,
        weights_hash=identity.weights_hash,
    )
    return StoredVoice(name, codes, best["words"], CONSENT, f"{voice}, synthetic")


if __name__ == "__main__":
    main()
