"""The triggers that start a run besides the clock: requests to webhooks."""
