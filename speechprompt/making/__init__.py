"""Backbones: pretrained, converted, fetched or exported. Doors: `pretrain`, `convert`, `fetch`, `export`."""
