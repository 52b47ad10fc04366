"""The shared volume: everything that is written, read and removed there.

Stages can write into many of its folders, and may be hostile: no link is followed, only plain files are read, and every
listing is bounded.
"""

from controller.adapters.volume.archive import Archive
from controller.adapters.volume.sweeper import Sweeper
from controller.adapters.volume.volume import Volume

__all__ = ["Archive", "Sweeper", "Volume"]
