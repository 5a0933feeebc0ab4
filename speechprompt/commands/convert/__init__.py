"""The papers' files -> ours: options and help of `convert`; the work is done in making/convert."""
