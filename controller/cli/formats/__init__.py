"""Findings as text for people, as GitHub annotations and as SARIF, what each code means, and plans. `cli` calls it.

Values in, text out: nothing here reads files, the environment or the terminal. What is printed holds no control
characters but newlines, whatever a manifest, its name or a message holds.
"""
