"""Prompts and examples -> figures. Door: `evaluate`."""
