"""Units and prompts -> answers, in one batch of the unit LM. Door: `generation`."""
