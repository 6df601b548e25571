"""PocketSphinx, a recogniser of English that shares nothing with neural ones; its model is in its
package.
"""

from __future__ import annotations

import importlib.metadata

import numpy as np

from xcodec2.evaluators.waveform import SAMPLE_RATE, checked
from xcodec2.extras import require


class PocketSphinx:
    name = "PocketSphinx"
    languages: frozenset[str] | None = frozenset({"en"})

    def __init__(self) -> None:
        pocketsphinx = require("pocketsphinx", extra="evaluate", purpose="PocketSphinx")
        self.implementation = f"en-us, pocketsphinx {importlib.metadata.version('pocketsphinx')}"
        # Means taken over the whole utterance: the running ones would depend on what was heard
        # before.
        self.decoder = pocketsphinx.Decoder(samprate=SAMPLE_RATE, cmn="batch", loglevel="FATAL")

    def transcribe(self, waveform: np.ndarray) -> str:
        """(N,) at 16 kHz → text in lower case."""
        samples = checked(waveform, min_seconds=0.1)
        pcm = np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2").tobytes()
        self.decoder.reinit_feat()  # forgets the noise that it learned from earlier speech
        self.decoder.start_utt()
        self.decoder.process_raw(pcm, no_search=False, full_utt=True)
        self.decoder.end_utt()
        heard = self.decoder.hyp()
        return heard.hypstr if heard else ""
