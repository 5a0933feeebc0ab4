"""What the studies measure, a module for each; what each says, and its arguments, stand in the command of its name."""
