"""Speech as training meets it: crops, and what changes them."""

from xcodec2.train.data.crops import Batch, Batches, Mixture, Position, SourceStream

__all__ = ["Batch", "Batches", "Mixture", "Position", "SourceStream"]
