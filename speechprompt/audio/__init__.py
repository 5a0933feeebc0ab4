"""Anything that holds sound -> waveforms (float32 mono at 16 kHz). Door: `load`."""
