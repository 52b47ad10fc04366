"""Git on the shared volume: refs to commits, one bare mirror for each repository, checkouts published by rename.

Refuses every transport but http and https (file where a setting allows it), and everything of a repository that could
make git run a program. Nothing else in the project imports GitPython.
"""

from controller.adapters.git.clone import Clone, read_clone
from controller.adapters.git.command import GitSettings
from controller.adapters.git.snapshot import Snapshot
from controller.adapters.git.source import Git

__all__ = ["Clone", "Git", "GitSettings", "Snapshot", "read_clone"]
