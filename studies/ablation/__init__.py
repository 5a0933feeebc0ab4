"""What each part of the tuning recipe brings: `python -m studies.ablation`."""
