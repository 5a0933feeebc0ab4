"""Measures of accuracy, each a module that says what it does: `python -m studies.accuracy DATA`."""
