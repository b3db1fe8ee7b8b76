"""Tables: read from files and data frames, matched by name, turned into samples of a network."""
