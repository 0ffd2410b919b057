"""lift3d: 3D poses, with their uncertainty, from the 2D keypoints of a frame or of a window."""

from posediff.tasks.lift3d.d3dp import D3DP as D3DP
from posediff.tasks.lift3d.encoder import Encoder as Encoder
from posediff.tasks.lift3d.encoder import VideoEncoder as VideoEncoder
from posediff.tasks.lift3d.official import Official as Official
from posediff.tasks.lift3d.paper import Lift3D as Lift3D
from posediff.tasks.lift3d.posterior import FrameTrunk as FrameTrunk
from posediff.tasks.lift3d.posterior import Posterior as Posterior
from posediff.tasks.lift3d.posterior import WindowTrunk as WindowTrunk
from posediff.tasks.lift3d.refined import RefinedTrunk as RefinedTrunk
