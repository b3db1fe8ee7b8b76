"""A module a stage: `run(place, note)`, where note(**row) puts a row into the report at once."""
