"""Reading a project: the core says which files it has to know, until it can judge them all."""

from controller.core.inputs import project
from controller.core.model import ProjectTree
from controller.reconciler.ports import Source

ROUNDS = 40  # of files that name files (twice as many as requirements may have), and of modules that import modules


def whole(source: Source, repository: str, commit: str, path: str) -> ProjectTree:
    """Return all that the core has to know of a published project. Raises Invalid, Transient.

    Other files may be as they like: too large, unreadable, links out of the repository.
    """
    tree = source.read(repository, commit, path)
    for _ in range(ROUNDS):
        if not (wanted := project.unread(tree)):
            break
        tree = source.extend(repository, commit, tree, wanted)
    return tree
