"""All scores of one video of a take. The first frame, which every system is given, does not count."""

from dataclasses import dataclass

import numpy as np

from atldiff import landmarks as lm
from atldiff.config import FRAME_RATE, SAMPLE_RATE
from atldiff.evaluation import landmarks as motion
from atldiff.evaluation import pictures
from atldiff.evaluation.landmark_scores import MAX_LAG, shut_share
from atldiff.evaluation.measures import appearance, faces, theval
from atldiff.evaluation.measures.networks import NO_NETWORKS, Networks
from atldiff.evaluation.measures.syncnet import LSE, SyncNet
from atldiff.evaluation.mouth_metrics import inside_statistics
from atldiff.evaluation.report.takes import Take, Track
from atldiff.media.speech import voice_activity
from atldiff.rendering.diffusion.guide_noise import fill_masks
from atldiff.speech.encoders import Encoder
from atldiff.speech.motion.bilabials import recognised_bilabials
from atldiff.speech.motion.head_track import head_track

MARGIN = 0.1  # of the boxes round mouth and face, in inter-ocular distances
LAG_SECONDS = 2  # the shortest take with a lag
SURE = 0.3  # correlation of the openings at their lag
MOST_PSNR = 100.0  # dB, for equal frames
BY_SECOND = ("PSNR face", "sharpness")


@dataclass(frozen=True, eq=False)
class Sound:
    """What the scores need of a take's sound.

    Attributes:
        activity: (F,) voice activity in [0, 1].
        bilabials: (N,) frames of p, b and m; None: unknown.
        samples: (n,) float32 at SAMPLE_RATE.
    """

    activity: np.ndarray
    bilabials: np.ndarray | None
    samples: np.ndarray

    @classmethod
    def from_take(cls, take: Take, encoder: Encoder) -> "Sound":
        """Hears a take."""
        speech = take.speech
        return cls(voice_activity(speech), recognised_bilabials(encoder.encode(speech)), speech.samples)


def score_video(take: Take, frames: np.ndarray, sound: Sound, networks: Networks = NO_NETWORKS) -> dict:
    """Scores a video against a take.

    Args:
        take: the true frames.
        frames: (n, h, w, 3) uint8 of the take's size, n at most the take's frames.
        sound: of the take.
        networks: "identity", "LSE-C" and "LSE-D" are there with their networks alone.

    Returns:
        {"scores": {name: value or NaN}, "seconds": {name of BY_SECOND: one value a second}}. "true ..." are
        the take's own values, of the same measure by the same tracker.
    """
    part = slice(1, len(frames))
    frames, truth, true = frames[part], take.truth[part], take.track[part]
    predicted = Track.from_frames(frames)
    true_points = true.filled().points
    boxes = {
        "": None,
        " face": pictures.part_box(true_points, margin=MARGIN),
        " mouth": pictures.part_box(true_points, lm.MOUTH, MARGIN),
    }
    curves = {}
    for name, box in boxes.items():
        curves[f"PSNR{name}"] = np.minimum(pictures.psnr(frames, truth, box), MOST_PSNR)
        curves[f"SSIM{name}"] = pictures.ssim(frames, truth, box)
    scores = {name: float(curve.mean()) for name, curve in curves.items()}
    scores |= landmark_scores(predicted, true)
    sharp = appearance.sharpness(frames, boxes[" face"])
    scores |= _appearance(frames, truth, boxes[" face"], sharp)
    scores |= {"mouth contrast": _contrast(frames, predicted), "true mouth contrast": _contrast(truth, true)}
    for prefix, track in (("", predicted), ("true ", true)):
        scores |= {prefix + name: value for name, value in _behaviour(track, sound, part).items()}
        scores |= {prefix + name: value for name, value in _theval(track, *frames.shape[1:3]).items()}
    if networks.identity is not None:
        reference = take.truth[0], take.track.filled().points[0]
        scores["identity"] = networks.identity_similarity(frames, predicted.points, *reference)
    if networks.sync is not None:
        scores |= _sync(
            networks.sync,
            {"": (frames, predicted), "true ": (truth, true)},
            sound.samples[SAMPLE_RATE // FRAME_RATE :],
        )
    curves["sharpness"] = sharp
    return {"scores": scores, "seconds": {name: _by_second(curves[name]) for name in BY_SECOND}}


def landmark_scores(predicted: Track, true: Track) -> dict[str, float]:
    """LMD, M-LMD and the mouth's motion of tracked faces.

    Returns:
        "LMD", "M-LMD": pixels; "... %": of the inter-ocular distance; "centred": of faces or mouths moved
        onto each other; "velocity": % a frame;
        "mouth r": correlation of the mouth's opening with the true one; "opening ratio": its deviation over
        the true one; "lag", "lag deviation": see `_lags`; "seen": share of the frames with a face.
    """
    points, truth = predicted.points, true.points
    eyes = lm.inter_ocular_distance(truth)
    scores = {"seen": float(predicted.seen.mean())}
    for name, part in (("LMD", lm.WHOLE_FACE), ("M-LMD", lm.MOUTH)):
        plain = motion.landmark_distance(points, truth, part)
        centred = faces.centred_distance(points, truth, part)
        velocity = faces.velocity_error(points, truth, part)
        scores |= {name: _mean(plain), f"{name} %": _mean(100 * plain / eyes)}
        scores |= {f"centred {name}": _mean(centred), f"centred {name} %": _mean(100 * centred / eyes)}
        scores[f"velocity {name}"] = _mean(100 * velocity / eyes[1:])
    opening, reference = lm.mouth_opening(points), lm.mouth_opening(truth)
    both = np.isfinite(opening) & np.isfinite(reference)
    scores["mouth r"] = motion.correlation(opening, reference)
    scores["opening ratio"] = (
        float(opening[both].std() / max(reference[both].std(), 1e-6)) if both.any() else np.nan
    )
    return scores | _lags(opening, reference)


def _lags(opening: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """The lag of an opening (F,) at the best correlation up to MAX_LAG, and the deviation by second, frames.

    NaN below LAG_SECONDS, or where that correlation is below SURE.
    """
    lag, at_lag = motion.best_lag(opening, reference, MAX_LAG)
    if len(opening) < LAG_SECONDS * FRAME_RATE - 1 or not at_lag >= SURE:
        return {"lag": float("nan"), "lag deviation": float("nan")}
    lags = faces.lags_by_second(opening, reference, MAX_LAG)
    deviation = float(np.nanstd(lags)) if np.isfinite(lags).sum() > 1 else float("nan")
    return {"lag": float(lag), "lag deviation": deviation}


def _appearance(frames: np.ndarray, truth: np.ndarray, box: np.ndarray | None, sharp: np.ndarray) -> dict:
    """Flicker and sharpness in the face over the true frames' own; the sharpness's drift, % a second."""
    flicker = [_mean(appearance.flicker(video, box)) for video in (frames, truth)]
    return {
        "flicker": flicker[0] / max(flicker[1], 1e-6),
        "sharpness": float(sharp.mean() / max(appearance.sharpness(truth, box).mean(), 1e-6)),
        "sharpness drift": appearance.drift(sharp),
    }


def _contrast(frames: np.ndarray, track: Track) -> float:
    """Deviation of the luma inside the open mouth, levels of 255; NaN if it never opens."""
    seen = track.seen
    if not seen.any():
        return float("nan")
    frames, points = frames[seen], track.points[seen]
    size = max(frames.shape[1:3])
    inside = fill_masks(points / size, size)[:, 0, : frames.shape[1], : frames.shape[2]]
    return _mean(inside_statistics(frames, inside)[:, 1])


def _behaviour(track: Track, sound: Sound, part: slice) -> dict[str, float]:
    """Measures of one video alone: lips in silence and at p, b, m; blinks; head."""
    if not track.seen.any():
        names = ("silent lips", "bilabials", "blinks", "head range", "head speed")
        return dict.fromkeys(names, float("nan"))
    filled, bilabials = track.filled(), sound.bilabials
    opening = lm.mouth_opening(filled.points)
    return {
        "silent lips": motion.silent_lip_motion(filled.points, sound.activity[part]),
        "bilabials": shut_share(opening, None if bilabials is None else bilabials - part.start),
        "blinks": faces.blink_rate(lm.eye_opening(filled.points)),
        **faces.head_statistics(head_track(filled.meshes, FRAME_RATE)),
    }


def _theval(track: Track, height: int, width: int) -> dict[str, float]:
    """THEval's measures of the mesh; brows in % of the distance between the eyes."""
    lips = theval.lip_dynamics(track.meshes, height, width)
    return {"lip dynamics": lips, "brow dynamics": 100 * theval.eyebrow_dynamics(track.meshes)}


def _sync(network: SyncNet, videos: dict[str, tuple[np.ndarray, Track]], samples: np.ndarray) -> dict:
    """LSE-C and LSE-D of videos by prefix; NaN without a face."""
    scores: dict[str, float] = {}
    for prefix, (frames, track) in videos.items():
        seen = track.seen.any()
        found = network.scores(frames, track.filled().points, samples) if seen else dict.fromkeys(LSE, np.nan)
        scores |= {prefix + name: value for name, value in found.items()}
    return scores


def _by_second(curve: np.ndarray) -> list[float]:
    """The mean of each whole or begun second of a curve (F,)."""
    return [float(np.mean(curve[i : i + FRAME_RATE])) for i in range(0, len(curve), FRAME_RATE)]


def _mean(values: np.ndarray) -> float:
    """Mean of the finite values; NaN if there are none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")
