"""The keys of a Secret that a request names, as texts, and what is wrong with them. No value is in a sentence."""

from collections.abc import Callable

from controller.core.errors import Invalid
from controller.core.inputs import kinds
from controller.core.model import Object
from controller.core.text import OR_ASK, clean


def read(
    secret: Object | None, place: str, made: str, knows: Callable[[str], object], known: str
) -> tuple[dict[str, str], list[str]]:
    """Return the texts by key, and a line for each problem. Raises Invalid("SecretMissing") where there is no Secret.

    `place` is the request's key and the Secret's name, `made` how kubectl makes it, `known` which keys there are.
    """
    if secret is None:
        remedy = f"kubectl create secret generic {made}{OR_ASK}"
        raise Invalid("SecretMissing", [f"{place}: not found in the controller's namespace: {remedy}"])
    texts, problems = dict[str, str](), list[str]()
    for key, value in sorted((secret.get("data") or {}).items()):
        try:
            if knows(key):
                texts[key] = kinds.base64_text(value)
            else:
                problems.append(f"{place}, key {clean(key)}: unknown key: {known}")
        except ValueError as error:
            problems.append(f"{place}, key {clean(key)}: {error}")
    return texts, problems
