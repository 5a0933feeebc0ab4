"""A backbone -> files that run without Python: options and help of `export`; the work is done in making/export."""
