"""A few clips -> a prompt. Door: `teacher`."""
