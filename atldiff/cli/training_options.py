"""The options of the training commands."""

import argparse
from pathlib import Path

from atldiff.cli.arguments import positive_number, whole_number
from atldiff.options import DETECTORS

CLIPS = Path("runs/data")  # `prepare` writes it, the other commands read it
FACES = Path("runs/faces")  # `prepare-faces` writes it


def add_landmarks(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `train landmarks`."""
    parser.add_argument("--start", type=Path, required=True, help="speech encoder, as by `train emotion`")
    generator = "trained landmark generator to begin from, which keeps its basis; a new one if left out"
    parser.add_argument("--generator", type=Path, metavar="FOLDER", help=generator)
    parser.add_argument("--learning-rate", type=positive_number, help="peak")
    fold = "such as 0/4: these training people choose the best step, and are not trained on"
    parser.add_argument("--fold", metavar="K/N", help=fold)
    teachers = "finished runs on the same data, whose mean is learnt, too"
    parser.add_argument("--teachers", nargs="+", default=[], metavar="RUN", help=teachers)


def add_diffusion(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `train diffusion`."""
    parser.add_argument("--stage", choices=("spatial", "temporal"), default="spatial", help="2D, or inflated")
    parser.add_argument("--start", type=Path, help="folder with unet/ and identity_encoder/ to begin from")
    windows = "of a window; temporal: 6, of the paper's presets 30"
    parser.add_argument("--frames", type=whole_number(1), metavar="N", help=windows)
    parser.add_argument("--speech-encoder", type=Path, help="hears the clips' emotion; none if left out")
    parser.add_argument("--faces", type=Path, help="what prepare-faces wrote; clips alone if left out")


def add_person(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `train person`."""
    minute = "one person's; a minute is enough"
    parser.add_argument("videos", type=Path, nargs="+", metavar="VIDEO", help=minute)
    parser.add_argument("--start", type=Path, help="a pipeline's folder; the embedded starter if left out")


def add_export(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `train export`."""
    renderers = "a diffusion run's best/ or last/; of several, the mean of their weights"
    parser.add_argument("--renderer", type=Path, required=True, nargs="+", metavar="FOLDER", help=renderers)
    shares = "of each renderer in that mean, 1 together; all alike if left out"
    parser.add_argument("--shares", type=float, nargs="+", metavar="SHARE", help=shares)
    speech = "a landmark run's folder; of several with a common start, the mean of their weights"
    parser.add_argument("--speech", type=Path, required=True, nargs="+", metavar="FOLDER", help=speech)
    parser.add_argument("--out", type=Path, required=True, help="folder of the pipeline")


def add_tracks(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `train head-tracks`."""
    parser.add_argument("--data", type=Path, required=True, help="folder with clips.csv")
    parser.add_argument("--out", type=Path, required=True, help="the bank, .safetensors")


def add_run(parser: argparse.ArgumentParser) -> None:
    """Adds the options of a renderer's run and of its steps."""
    memory = "of clips that each process holds; a larger corpus is streamed from its shards"
    parser.add_argument("--batch", type=whole_number(1), help="windows a batch of each process")
    parser.add_argument("--accumulate", type=whole_number(1), default=1, help="batches an optimiser step")
    parser.add_argument("--checkpointing", action="store_true", help="less memory, more arithmetic")
    parser.add_argument("--memory", type=positive_number, default=4.0, metavar="GB", help=memory)
    parser.add_argument("--learning-rate", type=positive_number, help="peak")
    parser.add_argument("--save-seconds", type=positive_number, help="between validations and saved states")
    hub = "then upload the weights to this private repository, USER/NAME"
    parser.add_argument("--push-to-hub", metavar="NAME", help=hub)


def add_prepare(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `prepare`."""
    parser.add_argument("--data", type=Path, required=True, help="the corpus's folder")
    parser.add_argument("--out", type=Path, default=CLIPS, help="folder of the training data")
    corpora = "crema-d, mead, ravdess, grid, folder (of people's videos) or clips.csv; auto: by what is there"
    parser.add_argument("--corpus", default="auto", metavar="NAME", help=corpora)
    protocols = (
        "paper: 128x128, 30 fps, one-second clips, green screen; starter: 224x224 with margin, as it came"
    )
    parser.add_argument("--protocol", choices=("starter", "paper"), default="starter", help=protocols)
    parser.add_argument(
        "--size", type=whole_number(32), metavar="PIXELS", help="of the face crop, such as 128 or 256"
    )
    splits = (
        "speakers: nobody is in two splits (the default); clips: the paper's 90/10, people in all of them"
    )
    parser.add_argument("--split", choices=("speakers", "clips"), default="speakers", help=splits)
    detectors = "of the landmarks; face-alignment: the paper's, slow"
    parser.add_argument("--detector", choices=DETECTORS, default=DETECTORS[0], help=detectors)
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="where the jobs run")
    parser.add_argument("--workers", type=whole_number(1), help="processes; one a core if left out")
    parser.add_argument("--check", action="store_true", help="also compare all shards with their checksums")
