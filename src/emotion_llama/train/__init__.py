"""Training, coarse to fine: recipes on transformers' Trainer."""
