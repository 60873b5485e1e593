"""Record LCM, replay LCM: one SQLite file per recording."""
