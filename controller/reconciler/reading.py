"""Reading a project: the core says which files it has to know, until it can judge them all."""

from controller.core import project
from controller.core.model import ProjectTree
from controller.reconciler.ports import Source


def whole(source: Source, repository: str, commit: str, path: str) -> ProjectTree:
    """Return all that the core has to know of a published project. Raises Invalid, Transient.

    Other files may be as they like: too large, unreadable, links out of the repository.
    """
    tree = source.read(repository, commit, path)
    while wanted := project.unread(tree):
        tree = source.extend(repository, commit, tree, wanted)
    return tree
