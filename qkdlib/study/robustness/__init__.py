"""Are distilled students less sensitive to shots and noise? And what would they ask of a quantum computer?"""

from qkdlib.study.chapter import Chapter, Page, Part, Picture, Table, each
from qkdlib.study.robustness import claims, figures, hardware, sweeps, table

ROBUSTNESS = Table("robustness", table.table, table.readable, (table.UNITS, table.RULE))
HARDWARE = Table("hardware", lambda _: hardware.table(), hardware.readable, (hardware.UNITS,))
SHOTS = Picture("shots", "Accuracy of placebos and distilled students against shots per image", figures.shots)
NOISE = Picture("noise", "Accuracy of placebos and distilled students against the level of three noises", figures.noise)
DEVICE = Picture("device", "Accuracy of placebos and distilled students on a device-like backend", figures.device)

CHAPTER = Chapter(
    name="robustness",
    title="Shots and noise",
    parts=(Part("robustness", lambda: each(sweeps.trainings())),),
    pages=(Page("shots_and_noise", "paper", (ROBUSTNESS, HARDWARE), (SHOTS, NOISE, DEVICE), {"paper_records": True}),),
    claims=claims.CLAIMS,
    executed=sweeps.executed,
    execute=sweeps.run_missing,
)
