"""The shared diffusion core. It imports torch, einops and itself, and depends on no task."""

from posediff.diffusion.aggregate import Hypotheses as Hypotheses
from posediff.diffusion.aggregate import Poses as Poses
from posediff.diffusion.head import BothViews as BothViews
from posediff.diffusion.head import Decoded as Decoded
from posediff.diffusion.head import FlipTest as FlipTest
from posediff.diffusion.head import Head as Head
from posediff.diffusion.head import RegressionHead as RegressionHead
from posediff.diffusion.head import TaskHead as TaskHead
from posediff.diffusion.head import Window as Window
from posediff.diffusion.model import DiffusionModel as DiffusionModel
from posediff.diffusion.model import Model as Model
from posediff.diffusion.model import Regression as Regression
from posediff.diffusion.model import anytime as anytime
from posediff.diffusion.noise import Noise as Noise
from posediff.diffusion.prior import Prior as Prior
from posediff.diffusion.prior import draw_component as draw_component
from posediff.diffusion.process import Output as Output
from posediff.diffusion.process import Process as Process
from posediff.diffusion.sampler import DDIMSampler as DDIMSampler
from posediff.diffusion.sampler import FlowSampler as FlowSampler
from posediff.diffusion.sampler import RepeatSampler as RepeatSampler
from posediff.diffusion.schedule import NoiseSchedule as NoiseSchedule
