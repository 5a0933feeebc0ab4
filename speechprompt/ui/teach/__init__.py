"""The Teach tab: a task from a few clips. Door: `tab`."""
