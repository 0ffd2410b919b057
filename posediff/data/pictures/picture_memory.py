"""Decoded pictures of data sets that stay in memory (trainer.cache.pictures_mb).

Those that are read first stay, until the limit is reached; all others are read again. A training
sees pictures in another order every pass, so that to replace them would keep none until it is
needed.
"""

from pathlib import Path

from posediff.data.pictures import picture_files
from posediff.data.pictures.picture_files import RGB


class PictureMemory:
    """Decoded pictures of one process. limit: bytes, 0 for none."""

    def __init__(self, limit: float = 0.0) -> None:
        self.limit, self.held = limit, 0
        self.pictures: dict[tuple[Path, bool], RGB] = {}

    def read(self, path: Path, upright: bool = False) -> RGB:
        """A picture, as of `picture_files.read`; it may be shared, and must not be changed."""
        key = (path, upright)
        if key in self.pictures:
            return self.pictures[key]
        image = picture_files.read(path, upright)
        if self.held + image.nbytes <= self.limit:
            self.pictures[key] = image
            self.held += image.nbytes
        return image


MEMORY = PictureMemory()  # of the data sets of this process
