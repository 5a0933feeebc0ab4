"""Many recordings into a table: the door is label.label; labeller.Labeller answers columns of other programs."""
