"""What a task is (task, answer_form, labels), and the known ones, a table a group. Door: `tasks.catalogue`."""
