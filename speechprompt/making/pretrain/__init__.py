"""How the bundled weights were made: encoder, then centroids, then unit LM. Not needed to use them."""
