"""What `ci/gpu` runs on a machine with a GPU: checks first, then measurements, each in a process of its own."""
