"""lift3d: one 3D pose, with its uncertainty, from the 2D keypoints of one frame."""

from posediff.tasks.lift3d.encoder import Encoder as Encoder
from posediff.tasks.lift3d.head import Lift3D as Lift3D
from posediff.tasks.lift3d.official import OfficialFrame as OfficialFrame
