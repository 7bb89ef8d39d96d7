"""Files that are generated from the code: `make generate` writes them, and a test checks that they are current."""
