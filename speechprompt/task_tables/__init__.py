"""The bundled tasks, a table for each kind. Door: `speechprompt.tasks`."""
