"""The layers, by family: what they are checked on, and the faults that must be seen in them."""
