"""What hostile files, crowds and accidents do to the program."""
