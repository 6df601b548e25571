"""Numbers that every form of the codec shares, in PyTorch or not."""

from __future__ import annotations

from xcodec2.codec.config import FEATURE_HOP, PITCH_FFT

# the Kaldi filter bank
FBANK_FFT = 512
PCM_SCALE = 32_768.0  # Kaldi works on 16-bit sample values
PREEMPHASIS = 0.97
MIN_MEL_HZ = 20.0
POVEY_POWER = 0.85
ENERGY_FLOOR = 1.1920929e-07  # float32 epsilon
VARIANCE_FLOOR = 1e-7
# of speech, about: what takes the utterance's place in a finite field
FBANK_MEAN, FBANK_VARIANCE = 9.0, 16.0

# the log spectra of small models
PITCH_BINS = 80  # up to 1.25 kHz; PITCH_FFT is long enough to part the harmonics of a low voice
# samples that a frame of log spectra sees around its own
SPECTRA_SIDE = (PITCH_FFT - FEATURE_HOP) // 2
LOG_SPECTRUM_FLOOR = 1e-5
# bring speech to about zero mean, unit variance
LOG_SPECTRUM_CENTER, LOG_SPECTRUM_SCALE = -5.0, 3.0

# the quantizer
RANGE_MARGIN = 1e-3  # keeps the outermost level reachable where tanh has not yet saturated
# How far a bounded latent has to be from the edge of a code for rounding not to matter. Those of
# streams and of wholes, of the engine and of PyTorch, differ by up to 5e-6 in trained models, by
# up to 1.5e-5 in random ones (docs/guides/streaming.md).
TOLERANCE = 2e-5

# the decoder
NORM_GROUPS = 32
MAX_MAGNITUDE = 1e2  # in a window of XCodec2's length
XCODEC2_WINDOW = 1280
MIN_ENVELOPE = 1e-11
