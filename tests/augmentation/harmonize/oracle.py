"""The three methods and the soft edge once more: float64, NumPy and SciPy, one image at a time.

Nothing is shared with the stage: the transfer is written with matrices, the pyramids with
``scipy.ndimage``, the Poisson equation as the least squares over edges that it comes from,
solved by a sparse direct method, the distances by ``distance_transform_edt``.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import linalg

RGB_TO_LMS = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
LMS_TO_LAB = np.diag([1 / np.sqrt(3), 1 / np.sqrt(6), 1 / np.sqrt(2)]) @ np.array(
    [[1, 1, 1], [1, 1, -2], [1, -1, 0]]
)


def alpha_of(union: np.ndarray, valid: np.ndarray, feather: int) -> np.ndarray:
    """``[H, W]`` float64."""
    seam = valid & ~union
    if not seam.any():
        return union.astype(np.float64)
    distance = np.asarray(ndimage.distance_transform_edt(~seam))
    return np.where(union, np.minimum(distance / (feather + 1), 1.0), 0.0)


def to_lab(image: np.ndarray) -> np.ndarray:
    """``[3, H, W]`` in 0..1 to l, alpha, beta, with a decadic logarithm as in the paper."""
    lms = np.tensordot(RGB_TO_LMS, image, 1)
    return np.tensordot(LMS_TO_LAB, np.log10(lms + 1 / 255), 1)


def reinhard(
    pasted: np.ndarray, before: np.ndarray, union: np.ndarray, valid: np.ndarray, max_gain: float
) -> np.ndarray:
    """``[C, H, W]`` float64, where the union is."""
    colour = len(pasted) == 3
    source, target = (to_lab(pasted), to_lab(before)) if colour else (pasted, before)
    moved = np.empty_like(source)
    for c in range(len(source)):
        inside, outside = source[c][union], target[c][valid]
        deviations = inside.std(), outside.std()
        flat = min(deviations) < 1e-5
        gain = 1.0 if flat else np.clip(deviations[1] / deviations[0], 1 / max_gain, max_gain)
        moved[c] = (source[c] - inside.mean()) * gain + outside.mean()
    if colour:
        lms = 10 ** np.tensordot(np.linalg.inv(LMS_TO_LAB), moved, 1) - 1 / 255
        moved = np.tensordot(np.linalg.inv(RGB_TO_LMS), lms, 1)
    return np.clip(moved, 0, 1)


def poisson(difference: np.ndarray, alpha: np.ndarray, union: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """``[C, H, W]`` float64: solution minus target, 0 outside the union's bounding box."""
    ys, xs = np.nonzero(union)
    top, bottom, left, right = ys.min(), ys.max() + 1, xs.min(), xs.max() + 1
    height, width = valid.any(axis=1).sum(), valid.any(axis=0).sum()
    number = {(y, x): n for n, (y, x) in enumerate(np.ndindex(bottom - top, right - left))}
    rows, wanted = [], []
    for (y, x), n in number.items():
        for dy, dx in ((0, 1), (1, 0)):
            m = number.get((y + dy, x + dx))
            if m is not None:
                here, there = (top + y, left + x), (top + y + dy, left + x + dx)
                rows.append({m: 1.0, n: -1.0})
                step = difference[:, there[0], there[1]] - difference[:, here[0], here[1]]
                wanted.append(min(alpha[here], alpha[there]) * step)
        # One edge for every neighbour outside the box that is on the canvas: the target's.
        beyond = ((y == 0 and top > 0), (y == bottom - top - 1 and bottom < height))
        beyond += ((x == 0 and left > 0), (x == right - left - 1 and right < width))
        for _ in range(sum(bool(b) for b in beyond)):
            rows.append({n: 1.0})
            wanted.append(np.zeros(len(difference)))
    fixed = any(len(row) == 1 for row in rows)
    inside = union[top:bottom, left:right]
    if not fixed:  # one more equation fixes the mean
        rest = [number[tuple(place)] for place in np.argwhere(~inside)]
        rows.append(dict.fromkeys(rest or number.values(), 1.0))
        of_source = difference[:, top:bottom, left:right].sum(axis=(1, 2))
        wanted.append(np.zeros(len(difference)) if rest else of_source)
    matrix = sparse.lil_matrix((len(rows), len(number)))
    for r, row in enumerate(rows):
        for n, value in row.items():
            matrix[r, n] = value
    matrix = matrix.tocsc()
    # The mean is compatible with all other equations' normal form, so that it holds exactly.
    normal, right_side = (matrix.T @ matrix).tocsc(), matrix.T @ np.stack(wanted)
    solution = linalg.spsolve(normal, right_side).reshape(len(number), -1)
    result = np.zeros_like(difference)
    result[:, top:bottom, left:right] = solution.T.reshape(len(difference), bottom - top, right - left)
    return result


def multiband(
    difference: np.ndarray, alpha: np.ndarray, union: np.ndarray, valid: np.ndarray, levels: int
) -> np.ndarray:
    """``[C, H, W]`` float64: splined minus target."""
    levels = levels_of(union, valid, levels)
    total, weight = [difference * union], [union.astype(np.float64)]
    mask, cover = [alpha], [valid.astype(np.float64)]
    for pyramid in (total, weight, mask, cover):
        for _ in range(levels):
            pyramid.append(halved(pyramid[-1]))
    mean = [quotient(t, w) for t, w in zip(total, weight, strict=True)]
    share = [quotient(m, c) for m, c in zip(mask, cover, strict=True)]
    change = share[levels] * mean[levels]
    for k in range(levels - 1, -1, -1):
        shape = share[k].shape
        seen, frame = (weight[k + 1] > 0).astype(np.float64), (cover[k + 1] > 0).astype(np.float64)
        below = quotient(doubled(mean[k + 1] * seen, shape), doubled(seen, shape))
        band = np.where(weight[k] > 0, mean[k] - below, 0.0)
        change = quotient(doubled(change * frame, shape), doubled(frame, shape)) + share[k] * band
    return change


def levels_of(union: np.ndarray, valid: np.ndarray, levels: int) -> int:
    """How often the resolution is halved: by area over length of edge."""
    edge = 0
    for y, x in np.argwhere(union):
        for neighbour in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            inside = 0 <= neighbour[0] < union.shape[0] and 0 <= neighbour[1] < union.shape[1]
            edge += bool(inside and valid[neighbour] and not union[neighbour])
    return max([0, *(k for k in range(1, levels + 1) if 4 * union.sum() >= edge * 8 * 2**k)])


def quotient(value: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """0 where there is no weight."""
    return np.where(weight > 0, value / np.where(weight > 0, weight, 1.0), 0.0)


KERNEL = np.array([1, 4, 6, 4, 1]) / 16


def halved(values: np.ndarray) -> np.ndarray:
    """Burt's reduction of the last two axes, 0 beyond the border."""
    for axis in (-2, -1):
        values = ndimage.correlate1d(values, KERNEL, axis=axis, mode="constant")
    return values[..., ::2, ::2]


def doubled(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Burt's expansion: zeros in between, and four times the kernel."""
    spread = np.zeros((*values.shape[:-2], shape[-2] + 4, shape[-1] + 4))
    even = spread[..., : 2 * values.shape[-2] : 2, : 2 * values.shape[-1] : 2]
    even[...] = values[..., : even.shape[-2], : even.shape[-1]]
    for axis in (-2, -1):
        spread = ndimage.correlate1d(spread, 2 * KERNEL, axis=axis, mode="constant")
    return spread[..., : shape[-2], : shape[-1]]
