"""Measures of waveforms that training, evaluation and the command line share."""
