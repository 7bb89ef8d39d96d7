"""Which idempotency keys are valid. Called by the client before it sends one, and by the controller."""

MAX_KEY = 200
KEY_RULE = f"An idempotency key must be a line of 1 to {MAX_KEY} characters, without surrounding spaces."


def is_valid_key(key: str) -> bool:
    """Whether a key satisfies `KEY_RULE`, and so reaches the controller unchanged as the value of an HTTP header."""
    return 0 < len(key.strip()) == len(key) <= MAX_KEY and key.isprintable()
