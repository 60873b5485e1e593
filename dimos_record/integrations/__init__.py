"""Plugging into frameworks. Each package here imports its framework, and nothing else does."""
