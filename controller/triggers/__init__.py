"""Starts runs for events outside of the controller: requests to webhooks."""
