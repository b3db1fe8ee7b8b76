"""The optimizers, by family."""
