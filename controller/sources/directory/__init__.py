"""A plain directory as a source: its manifests and the code of its flows. Files are read again when they change."""
