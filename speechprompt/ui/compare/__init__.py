"""The Compare tab: many prompts about one recording. Door: `tab`."""
