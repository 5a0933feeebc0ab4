"""The papers' original files -> our folders: one module for each kind of file. Nothing below knows them.

`checkpoint` and `joblib_file` read what fairseq and joblib pickled, without running any of it.
"""
