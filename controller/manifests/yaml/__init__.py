"""The YAML reader: parses YAML 1.2 into nodes that know their line and column, and writes documents back as YAML."""
