"""The prose linter: texts of the project against `terms.toml`. `make check` runs it."""
