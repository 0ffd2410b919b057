"""Identities of people in successive frames, by constant velocity, without learning.

A person that was seen n frames ago is expected n velocities further. The expected people and those
of a frame are paired so that the sum of their similarities is largest, and pairs below LEAST are
undone:

    similarity = (OKS + IoU) / 2     OKS with n times the area, since doubt grows with n

The velocities of the middle of the box, and of the joints known in both frames, are averaged over
time. A person who is not seen for LOST frames is forgotten; a new one gets the next number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from posediff.pose.oks import oks, overlap
from posediff.pose.skeleton import Skeleton

LEAST = 0.1  # similarity of a pair
LOST = 30  # frames
SURE = 0.2  # score of a joint that counts
SHARE = 0.5  # of the newest step in the velocity
SIGMA = 0.08  # of joints whose skeleton has none: the mean of COCO's


@dataclass
class Track:
    """A person, as last seen."""

    number: int
    frame: int
    box: Tensor  # (4,) x1, y1, x2, y2 pixels
    points: Tensor  # (J, 2) pixels
    known: Tensor  # (J,) bool
    velocity: Tensor | None = None  # (2, 2) pixels a frame, of box and joints; None: seen once

    def moved(self, frame: int) -> Tensor:
        """The ways (2, 2) of box and joints from where they were seen to where they are
        expected."""
        if self.velocity is None:
            return torch.zeros(2, 2)
        return (frame - self.frame) * self.velocity

    def see(self, frame: int, box: Tensor, points: Tensor, known: Tensor) -> None:
        both = known & self.known
        middle = (box - self.box).view(2, 2).mean(0)
        joints = (points - self.points)[both].mean(0) if both.any() else middle
        newest = torch.stack([middle, joints]) / (frame - self.frame)
        if self.velocity is not None:
            newest = torch.lerp(self.velocity, newest, SHARE)
        self.velocity = newest
        self.frame, self.box, self.points, self.known = frame, box, points, known


class Tracker:
    """Numbers people, frame after frame. skeleton: the joints of the poses."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.sigmas = skeleton.sigmas or (SIGMA,) * len(skeleton.joints)
        self.tracks: list[Track] = []
        self.next = 0

    def update(
        self,
        frame: int,
        boxes: Tensor,
        points: Tensor,
        scores: Tensor,
        numbers: Sequence[int] | None = None,
    ) -> list[int]:
        """The numbers of the N people of a frame, later than those before.

        boxes (N, 4) x1, y1, x2, y2 and points (N, J, 2) in pixels, scores (N, J); numbers (N,): of
        people that somebody else has tracked, which are kept.
        Raises ValueError if the frame is not later than the last one.
        """
        if any(track.frame >= frame for track in self.tracks):
            raise ValueError(f"frame {frame}: a tracker reads the frames of a video in order")
        self.tracks = [track for track in self.tracks if frame - track.frame <= LOST]
        known = (scores > SURE) & points.isfinite().all(-1)
        given = self._paired(frame, boxes, points, known) if numbers is None else numbers
        by_number = {track.number: track for track in self.tracks}
        found = list[int]()
        for n, number in enumerate(given):
            track = None if number is None else by_number.get(number)
            if track is None:
                number = self.next if number is None else number
                self.tracks.append(Track(number, frame, boxes[n], points[n], known[n]))
                self.next = max(self.next, number + 1)
            else:
                track.see(frame, boxes[n], points[n], known[n])
            found.append(self.tracks[-1].number if track is None else track.number)
        return found

    def _paired(self, frame: int, boxes: Tensor, points: Tensor, known: Tensor) -> list[int | None]:
        """The number of the track of each of N people, None for a new one."""
        from scipy.optimize import linear_sum_assignment

        numbers: list[int | None] = [None] * len(boxes)
        if self.tracks and len(boxes):
            similar = self._similar(frame, boxes, points, known)
            for t, n in zip(*linear_sum_assignment(-similar.numpy()), strict=True):
                if similar[t, n] >= LEAST:
                    numbers[n] = self.tracks[t].number
        return numbers

    def _similar(self, frame: int, boxes: Tensor, points: Tensor, known: Tensor) -> Tensor:
        """Similarity of the T expected people to N found ones, (T, N)."""
        tracks, T = self.tracks, len(self.tracks)
        moved = torch.stack([track.moved(frame) for track in tracks])
        expected = torch.stack([track.box for track in tracks]) + moved[:, 0].repeat(1, 2)
        joints = torch.stack([track.points for track in tracks]) + moved[:, 1:]
        both = torch.stack([track.known for track in tracks])[:, None] & known
        waited = torch.tensor([frame - track.frame for track in tracks])[:, None]
        area = (expected[:, 2:] - expected[:, :2]).prod(-1, keepdim=True) * waited
        pose = oks(joints.nan_to_num(), points.nan_to_num(), area, self.sigmas, both)
        shared = overlap(torch.cat([expected, boxes]))[:T, T:]
        return torch.where(both.any(-1), (pose + shared) / 2, shared)
