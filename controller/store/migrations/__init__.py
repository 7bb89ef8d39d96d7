"""The migrations of the schema, one per file. Together they result in `store.schema`."""
