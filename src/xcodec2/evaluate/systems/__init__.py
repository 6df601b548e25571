"""Systems: whatever turns a waveform into another one that should sound the same."""
