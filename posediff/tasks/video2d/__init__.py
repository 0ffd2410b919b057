"""video2d: 2D pose of people in video, from the key frame and its neighbours."""

from posediff.tasks.video2d.decoder import PoseDecoder as PoseDecoder
from posediff.tasks.video2d.plain import Plain as Plain
from posediff.tasks.video2d.reconstruction import Video2D as Video2D
from posediff.tasks.video2d.strl import ClipFeatures as ClipFeatures
