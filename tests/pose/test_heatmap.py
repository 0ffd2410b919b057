import time

import pytest
import torch

from posediff.pose.affine import affine, invert, mirror_points, transform
from posediff.pose.heatmap import NAMES, Codec, _patch, render
from posediff.pose.skeleton import skeleton

COCO = skeleton("coco17")
SIZES = {"256x192_s2": (192, 256), "384x288_s3": (288, 384)}


@pytest.fixture(scope="module")
def decoded(golden):
    z = golden("heatmap_decode.npz")
    return {key: x.float() for key, x in z.items()} | {"maps": z["hm_f16"].float()}


def points_inside(size, margin=0.0, people=20):
    torch.manual_seed(0)
    last = torch.tensor(size) - 1
    return (margin + (1 - 2 * margin) * torch.rand(people, 17, 2)) * last


@pytest.mark.parametrize("key", SIZES)
@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("quarter", "hrnet"),
        ("quarter", "msra"),
        ("argmax", "msra"),
        ("dark", "msra_unbiased"),
        ("udp", "udp"),
    ],
)
def test_targets_are_those_of_the_released_codes(golden, key, name, reference):
    z = golden("heatmap_encode.npz")
    joints, visible = z[f"{key}_joints"][None, :, :2], z[f"{key}_vis"][None]
    for dtype in (torch.float64, torch.float32):
        maps, weights = Codec(name, SIZES[key]).encode(joints.to(dtype), visible.to(dtype))
        expected = z[f"{key}_{reference}_hm"][None].to(dtype)
        torch.testing.assert_close(maps, expected, atol=1e-6, rtol=0)
        assert weights.flatten().tolist() == z[f"{key}_{reference}_w"].flatten().tolist()


@pytest.mark.parametrize(
    ("codec", "reference"),
    [
        (Codec("argmax", rule="hrnet"), "hrnet_argmax"),
        (Codec("argmax", rule="mmpose"), "mm_argmax"),
        (Codec("quarter", rule="mmpose"), "mm_quarter"),
        (Codec("dark", rule="mmpose"), "mm_dark11"),
        (Codec("dark", rule="mmpose", sigma=3), "mm_dark17"),
        (Codec("dark", rule="hrnet"), "darkpose_hm_k11"),
        (Codec("udp", rule="mmpose"), "mm_darkudp11"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_points_are_those_of_the_released_codes(decoded, codec, reference):
    points, peak = codec.decode(decoded["maps"])
    sound = torch.ones(3, 17, dtype=torch.bool)
    if codec.udp:
        sound[1, 5:7] = False  # NaN in the released code
    points, expected = codec.to_map(points), decoded[reference]
    torch.testing.assert_close(points[sound], expected[sound], atol=1e-4, rtol=0)
    assert torch.equal(peak, decoded["hrnet_maxval"][..., 0])
    assert torch.equal(peak, decoded["mm_scores"])


@pytest.mark.parametrize(
    ("name", "reference"), [("quarter", "hrnet_final"), ("argmax", "hrnet_final_nopost")]
)
def test_image_coordinates_are_those_of_the_released_code(decoded, name, reference):
    codec = Codec(name, rule="hrnet")
    matrix = affine(decoded["center"], 200 * decoded["scale"], codec.size)
    points = transform(codec.decode(decoded["maps"])[0], invert(matrix))
    torch.testing.assert_close(points, decoded[reference], atol=2e-3, rtol=0)


def test_darkposes_own_image_coordinates_differ(decoded):
    """DarkPose takes the box as w - 1 wide and the map as 47; ours is mmpose's way back."""
    codec, last = Codec("dark", rule="hrnet"), torch.tensor([47.0, 63.0])
    points = codec.to_map(codec.decode(decoded["maps"])[0])
    pitch = ((200 * decoded["scale"][:, 0] - 1) / 47)[:, None, None]
    image = decoded["center"][:, None] + (points - last / 2) * pitch
    torch.testing.assert_close(image, decoded["darkpose_final_k11"], atol=2e-3, rtol=0)


@pytest.mark.parametrize("kernel", [11, 17])
def test_the_blur_is_opencvs(golden, kernel):
    """Up to a factor, and away from the border, which OpenCV mirrors and DARK pads with 0."""
    z, r = golden("warp_cv5.npz"), kernel // 2
    rows, columns = torch.meshgrid(torch.arange(r, 20 - r), torch.arange(r, 24 - r), indexing="ij")
    cells = torch.stack([columns, rows], -1)
    maps = z["gb_in"].expand(*cells.shape[:2], -1, -1)
    ratio = _patch(maps, cells, 0, blur=r)[..., 0, 0] / z[f"gauss_k{kernel}"][rows, columns]
    torch.testing.assert_close(ratio, ratio[:1, :1].expand_as(ratio), atol=0, rtol=1e-5)


def test_crop_pixels_are_mmposes_but_for_udps_last_pixel(decoded):
    for name, reference in (("quarter", "msra"), ("dark", "msra_unbiased")):
        points = Codec(name, rule="mmpose").decode(decoded["maps"])[0]
        expected = decoded[f"mm_{reference}_codec_input_space"]
        torch.testing.assert_close(points, expected, atol=1e-4, rtol=0)
    points = Codec("udp").decode(decoded["maps"])[0]
    points = points * torch.tensor([192 / 191, 256 / 255])  # mmpose uses W for W - 1
    expected = decoded["mm_udp_codec_input_space"]
    torch.testing.assert_close(points[[0, 2]], expected[[0, 2]], atol=2e-4, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_map_without_a_blob_decodes_to_its_argmax(decoded, name):
    maps, codec = decoded["maps"], Codec(name)
    points, peak = codec.decode(maps)
    negative, empty = maps[1, 5], maps[1, 6]
    assert negative.max() < 0
    assert not empty.any()
    y, x = divmod(int(negative.argmax()), 48)
    torch.testing.assert_close(codec.to_map(points[1, 5]), torch.tensor([x, y]).float())
    assert points[1, 6].tolist() == [0, 0]
    assert peak[1, 5] == negative.max()
    assert points.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, torch.nan, torch.inf, -torch.inf, 1e-38, 1e38])
def test_points_of_all_maps_are_finite_and_on_the_map(name, value):
    codec = Codec(name)
    flat = torch.full((17, 64, 48), value)
    spot = torch.zeros(17, 64, 48)
    spot[:, 20, 30] = value
    torch.manual_seed(0)
    noise = torch.randn(100, 17, 64, 48) if value == 1 else flat
    for maps in (flat, spot, noise):
        points = codec.to_map(codec.decode(maps)[0])
        assert points.isfinite().all()
        assert (points > -3).all()
        assert (points < torch.tensor([50, 66])).all()


@pytest.mark.parametrize("size", [(192, 256), (288, 384)])
@pytest.mark.parametrize("stride", [8, 4, 2, 1])
@pytest.mark.parametrize(("name", "bound"), [*zip(NAMES, (0.05, 0.05, 0.5, 0.5), strict=True)])
def test_decoding_a_target_gives_its_points(name, bound, size, stride):
    codec = Codec(name, size, stride)
    points = points_inside(size, margin=0.15, people=4)  # the blur pads the map with 0
    maps, weights = codec.encode(points, torch.ones(4, 17))
    back, peak = codec.decode(maps)
    assert weights.all()
    assert (peak > 0.75).all()
    assert (codec.to_map(back) - codec.to_map(points)).abs().max() <= bound + 1e-4
    if name == "udp":
        assert (back - points).abs().max() < 0.05


@pytest.mark.parametrize(
    ("size", "stride", "shape", "sigma"),
    [
        ((192, 256), 8, (32, 24), 1),
        ((288, 384), 8, (48, 36), 1.5),
        ((192, 256), 4, (64, 48), 2),
        ((288, 384), 4, (96, 72), 3),
        ((192, 256), 2, (128, 96), 4),
        ((288, 384), 2, (192, 144), 6),
        ((192, 256), 1, (256, 192), 8),
        ((288, 384), 1, (384, 288), 12),
        ((256, 256), 4, (64, 64), 2),
    ],
)
def test_a_joint_has_the_same_width_in_the_crop_at_every_stride(size, stride, shape, sigma):
    codec = Codec(size=size, stride=stride)
    assert codec.shape == shape
    assert codec.sigma == sigma
    maps, _ = Codec("dark", size, stride).encode(torch.tensor([[[80.0, 90.0]]]), torch.ones(1, 1))
    moment = Codec("dark", size, stride).second_moment(maps)
    assert moment.item() == pytest.approx(2**0.5 * sigma * stride, rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_the_corners_of_the_crop_in_map_pixels(name):
    codec = Codec(name)
    last = torch.tensor([191.0, 255.0])
    expected = [47.0, 63.0] if name == "udp" else [47.75, 63.75]
    assert codec.to_map(last).tolist() == pytest.approx(expected)
    torch.testing.assert_close(codec.from_map(codec.to_map(last)), last)


@pytest.mark.parametrize("name", NAMES)
def test_a_joint_without_a_label_or_off_the_map_is_not_rendered(name):
    points = torch.tensor([[50.0, 60.0], [torch.nan, torch.nan], [-40, 60], [50, 400], [-20, 60]])
    visible = torch.tensor([1.0, 0, 1, 1, 1])
    maps, weights = Codec(name).encode(points, visible)
    assert weights.tolist() == [1, 0, 0, 0, 1]
    assert maps.flatten(1).amax(1).gt(0).tolist() == [True, False, False, False, True]


@pytest.mark.parametrize("name", NAMES)
def test_leading_dimensions_do_not_matter(name):
    codec, points = Codec(name), points_inside((192, 256))
    maps, weights = codec.encode(points, torch.ones(20, 17))
    one, weight = codec.encode(points[3], torch.ones(17))
    assert torch.equal(one, maps[3])
    assert torch.equal(weight, weights[3])
    stacked, peak = codec.decode(maps.view(4, 5, 17, 64, 48))
    assert stacked.shape == (4, 5, 17, 2)
    torch.testing.assert_close(stacked[1, 2], codec.decode(maps[7])[0])
    assert peak.shape == codec.second_moment(maps.view(4, 5, 17, 64, 48)).shape == (4, 5, 17)


def test_mirrored_maps_are_those_of_the_released_codes(golden):
    z = golden("flip.npz")
    for codec, flipped, merged in (
        (Codec("quarter"), "flip_back_shifted", "merged_shift"),
        (Codec("udp"), "flip_back", "merged_noshift"),
    ):
        mirrored = codec.flip(z["out_of_flipped"], COCO)
        assert torch.equal(mirrored, z[flipped])
        assert torch.equal((z["out"] + mirrored) / 2, z[merged])


@pytest.mark.parametrize("name", NAMES)
def test_the_mirrored_map_decodes_to_the_mirrored_pose(name):
    codec, points = Codec(name), points_inside((192, 256), margin=0.15)
    maps, _ = codec.encode(points, torch.ones(20, 17))
    mirrored = codec.decode(codec.flip(maps, COCO))[0]
    bound = {"udp": 0.03, "dark": 1.1}.get(name, 5.5)  # classic: a quarter of a map pixel
    assert (mirrored - mirror_points(points, 192, COCO)).abs().max() < bound
    twice = codec.flip(codec.flip(maps, COCO), COCO)
    exact = slice(None) if name == "udp" else slice(1, None)
    assert torch.equal(twice[..., exact], maps[..., exact])


def test_the_second_moment_is_that_of_the_positive_part_about_the_peak():
    codec = Codec("quarter")
    maps = torch.zeros(4, 64, 48)
    maps[0, 10, 5] = 0.3
    maps[1, 10, 5] = maps[1, 10, 15] = 0.2
    maps[1, 40] = -0.7
    maps[2, 10, 5], maps[2, 20, 5] = 3, 1
    moments = codec.second_moment(maps)
    uniform = 4 * (2 * (13**2 - 1) / 12) ** 0.5  # of an empty map, 6 sigma from its first pixel
    torch.testing.assert_close(moments, torch.tensor([0, 20, 4 * 10 * 3**0.5 / 4, uniform]))
    stretched = Codec("udp").second_moment(maps[1:2]) / moments[1]
    assert stretched.item() == pytest.approx(191 / 47 / 4)


@pytest.mark.parametrize("width", [1.0, 1.5, 2.0])
def test_the_second_moment_of_a_gaussian_ignores_distant_values(width):
    """The standard deviation in crop pixels, along both axes."""
    codec = Codec("dark")
    centres = torch.tensor([[20.3, 40.6]])
    blob = render(centres, codec.shape, width * codec.sigma)
    expected = 2**0.5 * 4 * width * codec.sigma
    assert codec.second_moment(blob).item() == pytest.approx(expected, rel=0.02)
    other = 0.9 * render(torch.tensor([[40.0, 5.0]]), codec.shape, codec.sigma)
    assert codec.second_moment(blob + other).item() == pytest.approx(expected, rel=0.03)
    assert codec.second_moment(blob + 0.001).item() == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize("name", ["udp", "dark"])
def test_autocast_and_half_precision_maps_keep_the_points(name):
    codec, points = Codec(name), points_inside((192, 256), margin=0.15)
    maps, _ = codec.encode(points, torch.ones(20, 17))
    exact = codec.decode(maps)[0]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(codec.decode(maps)[0], exact)
        assert codec.encode(points, torch.ones(20, 17))[0].dtype == torch.float32
    assert codec.decode(maps.bfloat16())[0].dtype == torch.float32
    assert (codec.decode(maps.bfloat16())[0] - exact).abs().max() < 1
    assert codec.second_moment(maps.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("name", ["udp", "dark"])
def test_gradients_of_points_are_finite(name):
    codec, points = Codec(name), points_inside((192, 256), margin=0.15, people=2)
    maps, _ = codec.encode(points, torch.ones(2, 17))
    maps[0, 0], maps[1, 0] = 0, -1
    maps.requires_grad_()
    codec.decode(maps)[0].sum().backward()
    assert maps.grad.isfinite().all()
    assert (maps.grad.flatten(2).abs().amax(-1) > 0).sum() == 32
    assert not maps.grad[0, 0].any()


def test_rendering_is_the_gaussian_at_its_exact_centre():
    centres = torch.tensor([[3.3, 2.6], [-1.0, 4.0], [100.0, 100.0]])
    maps = render(centres, (8, 6), 1.5)
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(6.0), indexing="ij")
    for drawn, (cx, cy) in zip(maps, centres.tolist(), strict=True):
        expected = torch.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 1.5**2))
        torch.testing.assert_close(drawn, expected)
    assert not maps[2].any()


def test_codecs_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="udp, dark, quarter, argmax"):
        Codec("simcc")
    with pytest.raises(ValueError, match="own, hrnet, mmpose"):
        Codec(rule="dark")
    with pytest.raises(ValueError, match="stride 8"):
        Codec(size=(100, 100), stride=8)
    with pytest.raises(ValueError, match="codec's are"):
        Codec().decode(torch.zeros(17, 96, 72))
    assert hash(Codec(size=[192, 256])) == hash(Codec())


def test_encoding_and_decoding_a_batch_take_milliseconds():
    codec, points = Codec(), points_inside((192, 256), people=64)
    maps, _ = codec.encode(points, torch.ones(64, 17))
    maps = maps[:32].contiguous()

    def best(call):
        seconds = []
        for _ in range(20):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    assert best(lambda: codec.encode(points, torch.ones(64, 17))) < 0.015  # 1.5 ms when idle
    assert best(lambda: codec.decode(maps)) < 0.03  # 3.7 ms
