"""image2d: 2D pose, with its uncertainty, of one person in a picture."""

from posediff.tasks.image2d.coarse import Coarse as Coarse
from posediff.tasks.image2d.guided import Image2D as Image2D
