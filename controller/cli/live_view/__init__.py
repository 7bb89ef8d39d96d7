"""The live view on a terminal, an interactive client of a running controller; the only package that uses Textual.

`controller status --watch` opens it, and `controller run` starts it in a process of its own.
"""
