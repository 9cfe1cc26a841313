"""What schedules came to."""

from __future__ import annotations

from dataclasses import dataclass, field, fields


@dataclass
class Tally:
    """What schedules came to.

    Attributes:
        failed: Runs that ended with an error.
        late: Rows that a trusted or unproven end left for a later run.
        by_proof: Runs by how far they were proven.
    """

    schedules: int = 0
    runs: int = 0
    killed: int = 0
    failed: int = 0
    gets: int = 0
    late: int = 0
    switches: int = field(default=0, compare=False)  # how threads end is left to the interpreter
    by_proof: dict[str, int] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Add what another one counted."""
        for one in fields(self):
            if one.name != "by_proof":
                setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))
        for proof, runs in other.by_proof.items():
            self.note_proof(proof, runs)

    def note_proof(self, proof: str, runs: int = 1) -> None:
        """Count runs by how far they were proven."""
        self.by_proof[proof] = self.by_proof.get(proof, 0) + runs

    def __str__(self) -> str:
        """The figures in one line."""
        figures = [f"{getattr(self, one.name):,} {one.name}" for one in fields(self) if one.name != "by_proof"]
        return ", ".join([*figures, *(f"{runs:,} {proof}" for proof, runs in sorted(self.by_proof.items()))])
