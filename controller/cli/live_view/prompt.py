"""The line at the bottom of the live view while it asks something: a text, or one key."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_ERASE_WORD = ("ctrl+w", "alt+backspace", "ctrl+backspace")


@dataclass(slots=True)
class Prompt:
    """A question. With `choices`, one key answers it; otherwise a text, which `submit` gets.

    `change` gets the text after every key, and with `cancel` the text before the first key once it is cancelled.
    """

    label: str
    submit: Callable[[str], None] = lambda _: None
    choices: Mapping[str, Callable[[], None]] = field(default_factory=dict)
    value: str = ""
    change: Callable[[str], None] | None = None
    before: str = ""

    def press(self, key: str, character: str | None) -> bool:
        """Handle a key. Return whether the question is answered or cancelled."""
        if self.choices:
            return self._choose(key)
        if key == "escape":
            self._set(self.before)
            return True
        if key == "enter":
            self.submit(self.value)
            return True
        if key == "backspace":
            self._set(self.value[:-1])
        elif key == "ctrl+u":
            self._set("")
        elif key in _ERASE_WORD:
            self._set(self.value.rstrip().rpartition(" ")[0])
        elif character is not None and character.isprintable():
            self._set(self.value + character)
        return False

    def paste(self, text: str) -> None:
        """Insert a pasted text, without its line breaks."""
        if not self.choices:
            self._set(self.value + "".join(character for character in text if character.isprintable()))

    def _choose(self, key: str) -> bool:
        action = self.choices.get(key.lower() if len(key) == 1 else key)
        if action is not None:
            action()
        return action is not None or key in ("n", "N", "escape", "enter", "q")

    def _set(self, value: str) -> None:
        if value != self.value:
            self.value = value
            if self.change is not None:
                self.change(value)


def question(text: str, action: Callable[[], None]) -> Prompt:
    """Return a question that only `y` answers with yes."""
    return Prompt(label=f"{text} y/N ", choices={"y": action})
