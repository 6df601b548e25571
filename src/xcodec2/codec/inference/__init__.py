"""Running the network: batches of any lengths, windows over long audio, streams, low precision."""
