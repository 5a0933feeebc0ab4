"""Files: checked before they are believed, written whole or not at all. Door: `folders`."""
