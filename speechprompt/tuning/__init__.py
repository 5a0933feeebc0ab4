"""A corpus -> a prompt. Door: `recipe`."""
