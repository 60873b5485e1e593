"""Recordings in Git LFS: `publish` packs one into `data/.lfs`, `fetch` gets it out of there."""
