"""A stream of sound, answered while it comes in. Door: `listener.Listener`."""
