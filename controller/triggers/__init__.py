"""Starts runs for events outside of the controller: files that arrive in a folder, and requests to webhooks."""
