"""What the paper says of noise, with the test of each claim."""

from qkdlib.study.claims import Claim
from qkdlib.study.robustness import table

CLAIMS = (
    Claim("C4a", "contribution 4", "distillation makes the student robust, less sensitive to noise", "", "count",
          "", lambda e: table.less_sensitive(e.once(table.table)), "ours: rows of tables/robustness with noise",
          after="C3"),
    Claim("C4a2", "contribution 4", "the same: points that noise costs the distilled student less", "", "gain",
          "", lambda e: table.mean_spared("published", e.workspace), "ours: published students, all levels",
          after="C3"),
    Claim("V6", "v2, abstract", "distillation spares quantum training and error mitigation", "", "no_loss", "",
          lambda e: table.lost_on_device("original", "mnist", 8, e.workspace),
          "no experiment with noise is reported; ours: accuracy of the distilled 8-qubit student on a device-like "
          "backend minus without noise, nothing mitigated"),
    Claim("V6a", "v2, abstract", "the same: points that noise costs the distilled student less", "", "gain", "",
          lambda e: table.mean_spared("revised", e.workspace), "ours: revised students, all levels, device"),
)  # fmt: skip
