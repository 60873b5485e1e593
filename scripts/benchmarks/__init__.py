"""Measures dimos-record beside other recorders and players; run it with `scripts/bench`."""
