"""Many recordings into a table, or a long one into its segments. Doors: label.label and segments.Segments.

cluster.label_on_ray is `label` on a cluster; labeller.Labeller answers columns of other programs.
"""
