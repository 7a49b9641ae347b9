#!/usr/bin/env bash
# The whole way on two cores in minutes: clips made on the fly -> prepare -> train -> export -> a video.
# It shows that everything fits together; the networks are far too small and too little trained to be good.
#   examples/train_tiny.sh [FOLDER]     PYTHON=python3.11 picks the interpreter, RECORDING=file.wav other words
set -euo pipefail
out=${1:-out/tiny}
run() { echo "+ atldiff $*" >&2; "${PYTHON:-python}" -m atldiff "$@"; }
here=$(cd "$(dirname "$0")" && pwd)
recording=${RECORDING:-$here/hello_world.flac}
mkdir -p "$out"

# Three people, one of whom validates and one of whom tests; the starter makes them talk.
{
    echo photo,recording
    for person in astronaut drawn mona_lisa; do
        echo "$here/$person.jpg,$recording"
    done
} >"$out/jobs.csv"
run batch "$out/jobs.csv" -o "$out/clips" --output crop --quiet

# A row of the starter's kind with small shapes.
"${PYTHON:-python}" - "$out/preset.json" <<'ROW'
import json, sys
from dataclasses import asdict, replace
from pathlib import Path
from atldiff.config import PRESETS, LandmarkConfig

row = PRESETS["starter"]
unet = replace(row.unet, block_out_channels=(16, 32))
row = replace(row, name="tiny", unet=unet, landmarks=LandmarkConfig(32, 2, 1, 2, 16, 12))
Path(sys.argv[1]).write_text(json.dumps(asdict(row)))
ROW
common=(--preset "$out/preset.json" --device cpu)
encoder=$here/../atldiff/weights/starter/speech_encoder
run prepare --data "$out/clips" --out "$out/data" --corpus folder --workers 2
run train landmarks --data "$out/data" --start "$encoder" --steps 40 --out "$out/landmarks" "${common[@]}"
run train diffusion --data "$out/data" --stage spatial --steps 12 --batch 4 --out "$out/spatial" "${common[@]}"
run train diffusion --data "$out/data" --stage temporal --steps 2 --batch 1 \
    --start "$out/spatial/last" --speech-encoder "$encoder" --out "$out/temporal" "${common[@]}"
run train export --renderer "$out/temporal/last" --speech "$out/landmarks" \
    --preset "$out/preset.json" --out "$out/pipeline"
run generate "$here/drawn.jpg" "$recording" --weights "$out/pipeline" -o "$out/video.mp4" --quiet
