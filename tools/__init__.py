"""What is done around the app: `python -m tools.space`, `python -m tools.screenshots`."""
