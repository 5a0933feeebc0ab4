"""Backbones: pretrained, converted or fetched. Doors: `pretrain`, `convert`, `fetch`."""
