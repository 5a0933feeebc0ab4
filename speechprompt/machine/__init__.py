"""The machine that the models run on. Doors: `device`, `memory`, `request_time`."""
