"""The schema, one step a file; the sum of all steps equals `store.schema`."""
