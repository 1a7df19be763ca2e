"""Note: what a plan says of itself while its Run goes on. The newest counts, also after the end."""

import msgspec


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of text, and how much is done of how much. All empty: it says nothing any more."""

    text: str = ""
    done: int | float | None = None
    total: int | float | None = None

    def words(self) -> str:
        """In one line: `building (3 of 7)`."""
        if self.done is None:
            return self.text
        count = _number(self.done)
        if self.total is not None:
            count += f" of {_number(self.total)}"
        return f"{self.text} ({count})" if self.text else count


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
