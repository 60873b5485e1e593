"""Runnable dimos blueprints, found by `dimos run dimos-record.NAME`."""
