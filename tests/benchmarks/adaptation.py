"""Readings of eq. 15, which leaves open how variances become dropout ratios, against fixed ratios: Table 8's question.

Prints the gain of each reading over `no-sa` on three crops of Set12, at 5 % and Poisson 128, one seed: a choice among
readings, not a claim. Takes about an hour and a half on two cores.
"""

import statistics

from _crops import CROPS, psnrs, say

NOISES = ("gaussian:0.05", "poisson:128")
FIXED = "no-sa"
READINGS = {
    "pixel min-max initial": "adapt_scope=pixel,adapt_scaling=min-max,adapt_from=initial",
    "pixel min-max former": "adapt_scope=pixel,adapt_scaling=min-max,adapt_from=former",
    "pixel mean initial": "adapt_scope=pixel,adapt_scaling=mean,adapt_from=initial",
    "layer min-max initial": "adapt_scope=layer,adapt_scaling=min-max,adapt_from=initial",
    "layer min-max former": "adapt_scope=layer,adapt_scaling=min-max,adapt_from=former",
    "layer mean initial": "adapt_scope=layer,adapt_scaling=mean,adapt_from=initial",
    "layer rank initial": "adapt_scope=layer,adapt_scaling=rank,adapt_from=initial",
    "channel min-max initial": "adapt_scope=channel,adapt_scaling=min-max,adapt_from=initial",
}
SPECS = {FIXED: "ours@fast:no-sa"} | {label: f"ours@fast[{settings}]" for label, settings in READINGS.items()}


def main() -> None:
    """Print a line a reading and noise."""
    fits = [(label, image, noise, 0) for noise in NOISES for label in SPECS for image in CROPS]
    found = psnrs("adaptation", SPECS, fits, "{image}{noise}{seed}")
    for noise in NOISES:
        for label in READINGS:
            gains = [found[label, image, noise, 0] - found[FIXED, image, noise, 0] for image in CROPS]
            each = ", ".join(f"{gain:+.2f}" for gain in gains)
            say(f"adaptation: {noise}: {label}: {statistics.mean(gains):+.2f} dB ({each})")


if __name__ == "__main__":
    main()
