"""Rows that are parts of files: each gets exactly its own samples, or says why not."""

from __future__ import annotations

import csv
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from sounds import encoded, noise_like

from xcodec2.audio import io as audio_io
from xcodec2.audio import load_audio
from xcodec2.corpus import read_corpus
from xcodec2.corpus.segments import Time, find_columns, parse_time
from xcodec2.errors import AudioError, XCodec2Error

RATE = 8_000
