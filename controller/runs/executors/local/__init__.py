"""Runs on this machine: a supervisor process per attempt, forked by the fork server or started cold."""
