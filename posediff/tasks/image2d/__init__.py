"""image2d: 2D pose, with its uncertainty, of one person in an image."""

from posediff.tasks.image2d.attention import Guide as Guide
from posediff.tasks.image2d.coarse import Coarse as Coarse
from posediff.tasks.image2d.guided import Image2D as Image2D
from posediff.tasks.image2d.sgdd import SGDD as SGDD
from posediff.tasks.image2d.structure import Masks as Masks
from posediff.tasks.image2d.structure import Space as Space
