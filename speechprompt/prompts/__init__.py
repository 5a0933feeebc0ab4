"""A prompt: what is learnt for one task on one backbone, with its card. Door: `prompt`."""
