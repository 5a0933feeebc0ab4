"""The frozen models: waveforms -> units, units -> logits. Door: `load`."""
