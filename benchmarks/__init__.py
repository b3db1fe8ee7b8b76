"""Speed, measured side by side. `ci/bench` runs it."""
