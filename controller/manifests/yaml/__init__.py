"""YAML to nodes that know their line and column: the event stream, the tree builder, the YAML 1.2 scalars."""
