"""A plain directory as a source: its manifests, the code of its flows, and its files read again when they change."""
