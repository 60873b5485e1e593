"""Edits: what they do, and writing recordings as their edits leave them."""
