"""The dashboard: HTML pages rendered on the server from `controller.queries`, with small scripts for live updates.

There is no build step and nothing is loaded from another host. Templates escape every value; no script or style is
inline.
"""
