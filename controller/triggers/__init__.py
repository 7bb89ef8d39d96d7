"""Starts runs for events outside of the controller: files that arrive in a folder."""
