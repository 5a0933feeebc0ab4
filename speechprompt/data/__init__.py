"""Labelled recordings -> examples. Door: `dataset`."""
