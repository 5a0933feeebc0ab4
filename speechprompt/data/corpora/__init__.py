"""Public corpora as they are distributed -> rows, a short file for each. Door: `catalogue`."""
