"""Starts runs for events outside of the controller: new files, and requests to webhooks."""
