"""The demo in the browser: a room for each tab. Door: `page.build`, over the models of `desk.Desk`."""
