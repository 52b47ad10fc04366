"""How many examples a property gets: a share of what the profile gives, because some cost more than others."""

from hypothesis import settings


def share(part: float) -> int:
    """Return this part of the profile's examples."""
    return max(round(settings().max_examples * part), 1)
