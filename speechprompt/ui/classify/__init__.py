"""The Try tab: one task about one recording. Door: `tab`."""
