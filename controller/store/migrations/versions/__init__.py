"""The steps, in the order of their numbers. A released step never changes."""
