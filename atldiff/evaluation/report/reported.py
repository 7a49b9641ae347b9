"""Numbers of the paper (arXiv 2507.12804), as it reports them. None of them was measured here."""

PAPER = "arXiv 2507.12804"

# Table 1: PSNR, SSIM, FID, M-LMD, LMD of each method.
COLUMNS = ("PSNR", "SSIM", "FID", "M-LMD", "LMD")
TABLE_1 = {
    "CREMA-D": {
        "MEAD": (20.915, 0.703, 78.835, 8.569, 11.092),
        "MakeItTalk": (23.357, 0.758, 33.543, 3.482, 3.982),
        "EVP": (27.988, 0.687, 8.872, 2.764, 3.284),
        "Diffused Heads": (28.545, 0.819, 12.433, 1.327, 1.487),
        "ATL-Diff": (29.055, 0.985, 7.995, 0.701, 0.840),
    },
    "MEAD": {
        "MEAD": (28.554, 0.683, 22.521, 2.525, 3.162),
        "MakeItTalk": (22.350, 0.819, 58.886, 3.748, 3.980),
        "EVP": (28.133, 0.773, 13.434, 2.055, 2.178),
        "Diffused Heads": (27.373, 0.810, 18.320, 3.087, 3.281),
        "ATL-Diff": (28.883, 0.944, 8.842, 1.574, 1.840),
    },
}
# Table 2: frames a second of the video, and seconds for a clip of CREMA-D, 2 s on average.
TABLE_2 = {
    "MakeItTalk": (24, 18.98),
    "EVP": (25, 20.45),
    "Diffused Heads, 50 steps": (25, 68.32),
    "Diffused Heads, 8 steps": (25, 13.08),
    "ATL-Diff, 8 steps": (30, 2.02),
}
# Table 3: M-LMD, LMD of the landmark generator; the names are those of `training.ablations`.
TABLE_3 = {
    "without-kfusion": (3.300, 8.624),
    "without-context-domain": (2.799, 5.490),
    "without-global-domain": (2.120, 4.126),
    "mlp": (1.380, 3.990),
    "kan": (1.089, 1.769),
}
