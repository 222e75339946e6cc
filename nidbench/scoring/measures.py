"""Names of what restorations are measured by beside their scores, as records keep them."""

from __future__ import annotations

#: Nominal levels of the coverages by intervals that are made of the pixel variance.
LEVELS = (0.5, 0.68, 0.95)

#: Of the error inside and outside the frequencies that the kernel destroys, see `null_band.measures`.
OF_NULL_BAND = ("null_mse", "seen_mse", "null_share", "null_ratio", "noisy_share", "noisy_error")
#: Of the pixel variance, see `calibration.calibration`.
OF_VARIANCE = ("variance_correlation", "mean_variance", *(f"coverage_{100 * level:.0f}" for level in LEVELS))
#: Of the residual, which needs no truth, see `residual.measures`.
OF_RESIDUAL = ("chi_squared", "whiteness")

#: All of them, see `scorer.Scorer.measures`.
MEASURES = (*OF_NULL_BAND, *OF_VARIANCE, "brightness", *OF_RESIDUAL)
