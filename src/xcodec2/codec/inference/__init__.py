"""Running the network: passes, ragged batches, windows over long audio, streams, lower precision."""
