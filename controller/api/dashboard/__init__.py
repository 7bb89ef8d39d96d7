"""The dashboard: pages made on the server from the same views as everything else, with a little script for what moves.

No build step, nothing from elsewhere. Every text is escaped where it is put into a page; no script or style is inline.
"""
