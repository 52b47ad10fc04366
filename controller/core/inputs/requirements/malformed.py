"""What is wrong with a line that is not a requirement, and what was probably meant by it."""

import re

from packaging.specifiers import Specifier

from controller.core.text import QUOTE_LIMIT, clean, quoted

EXAMPLE = "2.2.3"
COMMAND = re.compile(
    r"(?:[!%$]\s*)?(?:python[\d.]*\s+-m\s+)?(?:pip[\d.]*|uv pip|conda|mamba|poetry|pipenv)\s+\w+\s+(?:--?\w\S*\s+)*(.+)"
)


def problem(bare: str, name: str = "", versions: str = "") -> str:
    """Return the sentence for what is neither a name with versions, nor an address or a path.

    `name` and `versions` are its first word and what follows, where it begins with a name.
    """
    if command := COMMAND.fullmatch(bare):
        return f"{quoted(bare)} is a command: write only {clean(command[1], QUOTE_LIMIT)}"
    if re.match(r"[~=!<>]", versions):
        wrong = next((clause.strip() for clause in versions.split(",") if not _is_specifier(clause)), versions)
        bounds = re.fullmatch(r"(?P<operator>[~=!<>]*)\s*(?P<version>.*)", wrong)
        operator, version = (bounds["operator"], bounds["version"]) if bounds else ("", wrong)
        if not version:
            return f"{quoted(bare)} has no version after {operator}: write one, or only {name}"
        meant = {"=": "==", "=>": ">=", "=<": "<=", "<>": "!="}.get(operator, "")
        version = version.partition("=")[0]  # conda writes NAME=VERSION=BUILD
        remedy = f": write {name}{meant}{version}" if meant and _is_specifier(f"{meant}{version}") else ""
        return f"expected a version like =={EXAMPLE} after {name}, got {quoted(wrong)}{remedy}"
    remedy = f": write {name}=={versions}" if name and _is_specifier(f"=={versions}") else ""
    return f"expected a requirement like pandas=={EXAMPLE}, got {quoted(bare)}{remedy}"


def _is_specifier(text: str) -> bool:
    try:
        Specifier(text)
    except ValueError:
        return False
    return len(text) <= QUOTE_LIMIT and text.isprintable()
