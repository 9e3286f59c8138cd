"""What meters cost, by a table that people edit."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from replicator.config import Frozen
from replicator.errors import ConfigurationError
from replicator.estimate.figures import Needs

EXAMPLE = "prices.yaml"

FIX = "Print an example with replicator estimate --print-prices, and edit it"


class Price(Frozen):
    """Of one meter: `price` for `per` units."""

    price: float = Field(ge=0, description="What so many units cost.")
    per: float = Field(gt=0, description="How many units that price is for.")
    what: str = Field(default="", description="What one unit is, for people.")


class PriceTable(Frozen):
    """All meters that have a price."""

    currency: str = Field(min_length=1, description="Of all prices, for people.")
    region: str = Field(default="", description="Where these prices hold, for people.")
    meters: dict[str, Price] = Field(description="By the name of the meter.")


@dataclass(frozen=True, slots=True)
class Cost:
    """`amount` is of what has a price; `unpriced` are the meters that were needed and have none."""

    amount: float
    unpriced: tuple[str, ...] = ()


def cost(needs: Needs, prices: Mapping[str, Price]) -> Cost:
    """Linear: no allowances, no tiers, no rounding. Pure."""
    amount = sum(used / prices[meter].per * prices[meter].price for meter, used in needs.items() if meter in prices)
    return Cost(amount, tuple(sorted(meter for meter, used in needs.items() if used and meter not in prices)))


def example() -> str:
    """The table that comes with replicator, as text to be edited."""
    return files(__package__).joinpath(EXAMPLE).read_text(encoding="utf-8")


def load_prices(path: Path | None) -> PriceTable:
    """The table of a file, or the example. Raises ConfigurationError for what is no table of prices."""
    try:
        text = example() if path is None else path.read_text(encoding="utf-8")
        return PriceTable.model_validate(yaml.safe_load(text))
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(str(path), f"cannot be read ({error})", FIX) from error
    except yaml.YAMLError as error:
        raise ConfigurationError(str(path), f"is no YAML ({error})", FIX) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigurationError(str(path), f"{place}: {first['msg']}", FIX) from error
