"""What is in a cart, and what it costs."""

from dataclasses import dataclass, field
from decimal import Decimal


@dataclass
class Cart:
    """Prices by the name of what is bought."""

    lines: dict[str, tuple[int, Decimal]] = field(default_factory=dict)

    def put(self, name: str, price: Decimal, count: int = 1) -> None:
        """So many more of it. Raises ValueError for less than one."""
        if count < 1:
            raise ValueError(f"{count} of {name} cannot be bought")
        before, _ = self.lines.get(name, (0, price))
        self.lines[name] = (before + count, price)

    def total(self) -> Decimal:
        """What all of it costs."""
        return sum((count * price for count, price in self.lines.values()), Decimal())
