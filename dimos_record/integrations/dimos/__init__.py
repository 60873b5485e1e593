"""Recording and replaying dimos blueprints: modules instead of topics."""
