"""Formats findings as text, GitHub annotations and SARIF; plans; and the explanations of codes. `cli` calls it.

The functions turn values into text and read no files, environment variables or terminal settings. Their output contains
no control characters except newlines, whatever a manifest, its file name or a message contains.
"""
