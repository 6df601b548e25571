"""Audio formats as they are written piece by piece."""

from __future__ import annotations

import gc

import numpy as np

from xcodec2.serve.sound import SoundWriter


def test_what_a_client_left_is_closed_before_it_is_freed():
    """Else PyAV before 17.1 ends the process when the garbage collector frees the container."""
    writer = SoundWriter("opus", 16_000, 16_000)
    writer.write(np.zeros(8_000, np.float32))
    encoded = writer.form
    encoded.itself = encoded  # as the traceback of an exception may hold it
    sink, container = encoded.sink, encoded.container  # held: freeing it is not what closes it
    before = len(sink.content)
    del writer, encoded
    gc.collect()
    assert len(sink.content) > before  # the last page, which closing writes
    del container
