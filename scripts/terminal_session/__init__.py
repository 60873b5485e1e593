"""`scripts/tui_session`: a session with the terminal program, in a real terminal."""
