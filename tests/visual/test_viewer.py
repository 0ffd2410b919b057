"""The HTML file that shows frames: what it holds, and what it does in a browser."""

import base64
import dataclasses
import json
import re
import time

import cv2
import numpy as np
import pytest
from helpers import browser as chromium

from posediff.people.frame import Frame, Person
from posediff.pose.skeleton import skeleton
from posediff.visual import viewer
from posediff.visual.viewer import view

HOSTILE = "<img src=x onerror=alert(1)>&\"'</script><script>window.hacked = 1</script> é.jpg"
RIGHT = "\ue014"  # WebDriver's name of the arrow


def standing(rng, shift=0.0, track=None, K=25):
    """A person who raises an arm by `shift` metres, with K hypotheses. Returns also the truth."""
    joints = skeleton("h36m17").joints
    heights = {"knee": 0.45, "ankle": 0.9, "spine": -0.25, "thorax": -0.5, "neck": -0.6}
    heights |= {"head": -0.75, "shoulder": -0.5, "elbow": -0.25, "wrist": 0.0}
    sides = {"left": 0.2, "right": -0.2}
    true = np.zeros((17, 3), np.float32)
    for j, joint in enumerate(joints):
        true[j, 0] = sides.get(joint.split("_")[0], 0)
        true[j, 1] = heights.get(joint.split("_")[-1], 0)
    true[joints.index("left_wrist"), 1] -= shift
    hypotheses = true + rng.normal(0, (0.04, 0.04, 0.1), (K, 17, 3)).astype(np.float32)
    flat = hypotheses[..., :2] * 100 + (150, 110)
    pose, points = hypotheses.mean(0), flat.mean(0)
    person = Person(
        box=np.array([*(points.min(0) - 9), *(points.max(0) + 9)]),
        box_score=0.9,
        keypoints_2d=points,
        scores=np.full(17, 0.8, np.float32),
        spread_2d=np.sqrt(((flat - points) ** 2).sum(-1).mean(0)),
        hypotheses_2d=flat,
        skeleton_2d="h36m17",
        track=track,
        keypoints_3d=pose,
        spread_3d=np.sqrt(((hypotheses - pose) ** 2).sum(-1).mean(0)),
        hypotheses_3d=hypotheses,
        scores_3d=np.full(17, 0.8, np.float32),
        skeleton_3d="h36m17",
    )
    return person, true


def without_3d(person):
    gone = dict.fromkeys(
        ("keypoints_3d", "spread_3d", "hypotheses_3d", "scores_3d", "skeleton_3d"), None
    )
    return dataclasses.replace(person, **gone)


def moved(person, x):
    """The same person, x pixels to the right."""
    way = np.array([x, 0], np.float32)
    return dataclasses.replace(
        person,
        box=person.box + np.tile(way, 2),
        keypoints_2d=person.keypoints_2d + way,
        hypotheses_2d=person.hypotheses_2d + way,
    )


def photo(name=HOSTILE, size=(320, 240)):
    """Two people in 3D and one without, and the truth of the first."""
    rng = np.random.default_rng(0)
    (a, true), (b, _) = standing(rng), standing(rng, 0.3)
    people = tuple(moved(person, x) for x, person in ((-90, a), (0, b), (90, without_3d(b))))
    image = np.full((size[1], size[0], 3), (200, 215, 205), np.uint8)
    truth = np.full((3, 17, 3), np.nan, np.float32)
    truth[0] = true
    return Frame(name=name, size=size, people=people, image=image), truth


def film(frames=6):
    rng = np.random.default_rng(0)
    for n in range(frames):
        person, _ = standing(rng, 0.15 * n, track=7)
        image = np.full((960, 1280, 3), 150 + 10 * n, np.uint8)
        yield Frame(f"{n:06d}", (320, 240), (person,), image, n, n / 10)


def data_of(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', text)[1])


def test_poses_are_written_in_millimetres_and_tenths_of_a_pixel(tmp_path):
    frame, truth = photo()
    data = data_of(view([frame], tmp_path / "new" / "a.html", [truth]))
    (written,) = data["frames"]
    assert written["name"] == HOSTILE
    for person, source in zip(written["people"], frame.people, strict=True):
        pose = np.reshape(person["flat"]["pose"], (17, 2)) / 10
        assert np.abs(pose - source.keypoints_2d).max() <= 0.0501
        assert len(person["flat"]["hypotheses"]) == 20  # of 25
    first, _, third = written["people"]
    assert third["space"] is None
    pose = np.reshape(first["space"]["pose"], (17, 3)) / 1000
    assert np.abs(pose - frame.people[0].keypoints_3d).max() <= 0.000501
    assert np.abs(np.reshape(first["space"]["truth"], (17, 3)) / 1000 - truth[0]).max() <= 0.000501
    assert [p["space"] and bool(p["space"]["truth"]) for p in written["people"]] == [1, 0, None]
    assert data["skeletons"]["h36m17"]["colours"][1] == "#d55e00"  # of the right, as in pictures


def test_missing_joints_are_null_and_numbers_are_valid_json(tmp_path):
    person, _ = standing(np.random.default_rng(0))
    person.keypoints_3d[3] = np.nan
    person.hypotheses_3d[:, 3] = np.nan
    person.spread_3d[3] = np.nan
    person.keypoints_2d[5] = np.inf
    data = data_of(view([Frame("a", (9, 9), (person,))], tmp_path / "a.html"))
    (written,) = data["frames"][0]["people"]
    assert written["space"]["pose"][9:12] == [None] * 3
    assert written["space"]["ellipsoids"][18:24] == [0] * 6
    assert written["flat"]["pose"][10:12] == [None] * 2
    assert written["space"]["spread"] > 0


def test_the_ellipsoid_is_one_deviation_of_the_hypotheses_along_each_axis():
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    wide = turn @ np.diag([0.01, 0.05, 0.2]) @ turn.T  # a symmetric matrix of deviations
    points = rng.normal(size=(40000, 1, 3)) @ wide
    total = np.sqrt((points**2).sum(-1).mean(0))

    def matrix(spread):
        flat = viewer._spread(points, np.zeros((1, 3)), spread, unit=1000)
        found = np.zeros((3, 3))
        found[np.triu_indices(3)] = flat
        return (found + np.triu(found, 1).T) / 1000

    assert np.allclose(matrix(total), wide, atol=0.002)
    assert np.allclose(matrix(2 * total), 2 * wide, atol=0.004)  # a corrected spread
    single = viewer._spread(points[:1], points[0], np.array([0.3]), unit=1000)
    assert single == [173, 0, 0, 173, 0, 173]  # a ball: 0.3 / sqrt(3)


def test_pictures_are_bounded_and_keep_their_colours(tmp_path):
    wide = np.zeros((600, 2000, 3), np.uint8)
    wide[..., 0] = 200  # red
    for index, longer in ((None, 960), (0, 480)):
        frame = Frame("a", (2000, 600), (), wide, index)
        uri = data_of(view([frame], tmp_path / "a.html"))["frames"][0]["image"]
        jpeg = np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8)
        image = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
        assert image.shape[1] == longer
        assert image[9, 9, 2] > 190
        assert image[9, 9, 0] < 20


def test_a_long_sequence_is_thinned_evenly(tmp_path, monkeypatch):
    monkeypatch.setattr(viewer, "MAX_FRAMES", 10)
    frames = (Frame(str(n), (4, 4), (), index=n, time=n / 50) for n in range(95))
    data = data_of(view(frames, tmp_path / "a.html"))
    assert [int(frame["name"]) for frame in data["frames"]] == list(range(0, 95, 16))
    assert data["stride"] == 16
    assert data["interval"] == pytest.approx(16 / 50)


def test_people_of_a_photo_stand_apart_from_left_to_right(tmp_path):
    frame, _ = photo()
    swapped = dataclasses.replace(frame, people=frame.people[1::-1])
    people = data_of(view([swapped], tmp_path / "a.html"))["frames"][0]["people"]
    right, left = (person["place"] for person in people)
    assert right[0] - left[0] >= 750  # 0.4 m wide, and the gap
    for person in people:
        assert max(person["space"]["pose"][1::3]) + person["place"][1] == 0  # on the floor


def test_a_track_keeps_its_place_and_a_later_one_takes_it(tmp_path):
    rng = np.random.default_rng(0)
    present = [(1, 2), (1, 2), (2,), (2, 3)]
    frames = [
        Frame(str(n), (320, 240), tuple(standing(rng, track=t)[0] for t in tracks), index=n)
        for n, tracks in enumerate(present)
    ]
    data = data_of(view(frames, tmp_path / "a.html"))
    places = {
        (n, person["track"]): tuple(person["place"])
        for n, frame in enumerate(data["frames"])
        for person in frame["people"]
    }
    assert len({place for (_, track), place in places.items() if track == 2}) == 1
    assert places[3, 3][0] == places[0, 1][0]
    assert len({tuple(frame["extent"]) for frame in data["frames"]}) == 1


def test_truth_that_does_not_fit_is_one_line(tmp_path):
    frame, truth = photo("a.jpg")
    for wrong, said in (
        ([truth[:1]], r"truth of a\.jpg: 1 poses, but 3 people"),
        ([truth[:, :16]], r"truth of a\.jpg: a pose of shape \(16, 3\), but h36m17 has \(17, 3\)"),
        ([truth, truth], "truth: more entries than frames"),
        ([], "truth: fewer entries than frames"),
    ):
        with pytest.raises(ValueError, match=said):
            view([frame], tmp_path / "a.html", wrong)
    assert not list(tmp_path.iterdir())


def test_names_of_files_stay_text_and_nothing_is_fetched(tmp_path):
    frame, _ = photo()
    text = view([frame], tmp_path / "<b>&'.html").read_text()
    assert "onerror=alert" not in re.sub(r"\\u003c.*?\\u003e", "", text)
    assert "<title>&lt;b&gt;&amp;&#x27;</title>" in text
    assert "default-src 'none'" in text.replace("&#x27;", "'")
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=", text)
    assert "MIT License" in text


@pytest.fixture(scope="module")
def browser():
    if chromium.missing():
        pytest.skip(f"the viewer is not tried in a browser: {chromium.missing()} not found")
    with chromium.browsing() as opened:
        yield opened


def colours(picture):
    return len(np.unique(picture.reshape(-1, 3), axis=0))


def changed(a, b):
    """The share of pixels that differ."""
    return float((np.abs(a.astype(int) - b).max(-1) > 24).mean())


def settled(browser, selector):
    """The picture of an element once it no longer changes: a loaded machine draws late."""
    last = browser.picture(selector)
    for _ in range(100):
        time.sleep(0.1)
        now = browser.picture(selector)
        if now.shape == last.shape and changed(now, last) == 0:
            return now
        last = now
    raise AssertionError(f"{selector} did not come to rest")


def ready(browser, path):
    browser.open(path)
    browser.until("return document.querySelectorAll('#people li').length > 0")
    browser.until("return document.querySelectorAll('.tag').length > 3")


def test_a_photo_of_several_people_in_a_browser(browser, tmp_path):
    frame, truth = photo()
    ready(browser, view([frame], tmp_path / "photo.html", [truth]))
    assert browser.run("return document.querySelector('#title').textContent") == HOSTILE
    assert browser.run("return window.hacked") is None
    facts = browser.run(
        "return [...document.querySelectorAll('#people small')].map((x) => x.textContent)"
    )
    assert facts[2] == "no 3D"
    assert all(re.fullmatch(r"± \d+ mm", fact) for fact in facts[:2])
    browser.until("return document.querySelector('#picture canvas').width > 300")
    space, picture = settled(browser, "#space"), settled(browser, "#picture")
    assert colours(space) > 200
    assert (np.abs(picture.astype(int) - (205, 215, 200)).max(-1) < 8).mean() > 0.3  # the photo
    for toggle in ("#hypotheses", "#spread", "#truth", "#people li input", "#everyone"):
        browser.click(toggle)
        less = settled(browser, "#space")
        assert changed(space, less) > 2e-4, toggle
        browser.click(toggle)
    assert changed(space, settled(browser, "#space")) < 1e-4
    browser.click("#overlay")
    assert changed(picture, settled(browser, "#picture")) > 0.01
    browser.drag("#space canvas", (120, 30))
    assert changed(space, settled(browser, "#space")) > 0.01
    browser.click("[data-look=side]")  # nobody hides another
    settled(browser, "#space")
    first, second = browser.run(
        "return [...document.querySelectorAll('.tag:not(.axis)')]"
        ".map((x) => x.getBoundingClientRect().left)"
    )
    assert abs(first - second) > 60
    browser.click("[data-look=front]")
    assert changed(space, settled(browser, "#space")) < 1e-3  # the edge of the button
    assert not browser.run("return document.querySelector('footer').checkVisibility()")
    assert browser.console() == []


def test_a_video_is_scrubbed_and_played(browser, tmp_path):
    ready(browser, view(film(), tmp_path / "film.html"))
    name = "return document.querySelector('#title').textContent"
    first, picture = settled(browser, "#space"), settled(browser, "#picture")
    browser.run(
        "const scrub = document.querySelector('#scrub'); scrub.value = 4;"
        "scrub.dispatchEvent(new Event('input'))"
    )
    assert browser.run(name) == "000004"
    browser.until("return document.querySelector('#where').textContent.includes('0.40 s')")
    assert changed(first, settled(browser, "#space")) > 0.002
    assert changed(picture, settled(browser, "#picture")) > 0.2
    browser.key(RIGHT)
    assert browser.run(name) == "000005"
    browser.key(" ")
    browser.until("return document.querySelector('#title').textContent === '000002'")  # goes round
    browser.key(" ")
    stopped = browser.run(name)
    time.sleep(0.5)  # five frames
    assert browser.run(name) == stopped
    assert browser.run("return document.querySelector('#truth').disabled")
    assert browser.console() == []
