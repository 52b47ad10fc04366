"""PyYAML's safe loader and dumper: libyaml's, about ten times as fast, where PyYAML was built with it."""

from typing import Any, Final

import yaml

LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER: Final[Any] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
