"""Many recordings into a table, or a long one into its segments. Doors: label.label and segments.Segments.

labeller.Labeller answers columns of other programs.
"""
