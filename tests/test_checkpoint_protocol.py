"""The rules by which checkpoints are written, chosen and deleted, tried on a model.

Owners of a partition follow one another; each that lost it may go on for a while as a zombie, paused
between any two of its steps. The model's changelog keeps the last record of each key, as a compacted
topic does; a block's state at an offset is the number of the last input below it that touched the
block. A run is lost when at a take-over no marker has all its records, or they are not the state at
the marker's offset. docs/adr/0001 tells what came of it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

BLOCKS = 5
INPUTS = 150
STEPS = 250

Key = tuple[str, int, int]  # block or mark, offset, epoch
MARKER, CLAIM = "@", "!"


@dataclass(frozen=True)
class Rules:
    """What the protocol consists of."""

    fence: bool = True  # delete only after the group has accepted the commit
    epoch: bool = True  # keys and choice know the owner: the later owner wins over the higher offset
    claim: bool = True  # an owner makes its epoch known, and is still the owner after that, before it writes
    clean: bool = True  # what unfinished checkpoints left behind is deleted
    rewrite: bool = True  # at times an owner writes blocks that no input has touched


class Lost(Exception):
    """The state is gone."""


@dataclass
class World:
    """The changelog, the consumer group and the input."""

    rules: Rules
    chance: random.Random
    inputs: list[str] = field(default_factory=list)
    log: dict[Key, int | tuple[Key, ...]] = field(default_factory=dict)
    owner: int = 0

    def truth(self, block: str, offset: int) -> int:
        """A block's state at an offset."""
        return max((i for i in range(offset) if self.inputs[i] == block), default=-1)

    def records(self, marker: Key) -> tuple[Key, ...]:
        found = self.log[marker]
        assert isinstance(found, tuple)
        return found

    def choose(self) -> Key | None:
        """The marker to go on from, and that what it lists is the state at its offset."""
        markers = [key for key in self.log if key[0] == MARKER]
        by_epoch = self.rules.epoch
        markers.sort(key=lambda key: (key[2] if by_epoch else 0, key[1]), reverse=True)
        for marker in markers:
            listed = self.records(marker)
            if all(record in self.log for record in listed):
                found = {block: self.log[block, at, epoch] for block, at, epoch in listed}
                expected = {str(b): self.truth(str(b), marker[1]) for b in range(BLOCKS)}
                if found != {block: last for block, last in expected.items() if last >= 0}:
                    raise Lost(f"wrong state at {marker}")
                return marker
        if markers:
            raise Lost(f"{len(markers)} markers, none of them whole")
        return None


def worker(world: World, me: int) -> Iterator[None]:
    """One owner's life, a step at a time; recovery is done when the first step ends."""
    rules, log, chance = world.rules, world.log, world.chance
    marker = world.choose()
    live = {record[0]: record for record in world.records(marker)} if marker else {}
    position = marker[1] if marker else 0
    epoch = 0
    if rules.epoch:
        epoch = 1 + max((key[2] for key in log if key[0] in (MARKER, CLAIM)), default=0)
    garbage = [key for key in log if key != marker and key not in live.values()] if rules.clean else []
    dirty = set(live) if rules.rewrite and chance.random() < 0.3 else set()
    yield
    if rules.claim:
        log[CLAIM, 0, epoch] = ()
        yield
        if world.owner != me:
            return
        garbage.append((CLAIM, 0, epoch))
        yield
    while True:
        ahead = min(INPUTS, position + chance.randrange(1, 5))
        dirty |= set(world.inputs[position:ahead])
        position = ahead
        yield
        fresh = dict(live)
        for block in sorted(dirty):
            fresh[block] = (block, position, epoch)
            log[fresh[block]] = world.truth(block, position)
            yield
        before, marker = marker, (MARKER, position, epoch)
        log[marker] = tuple(fresh.values())
        yield
        garbage += [record for block, record in live.items() if fresh[block] != record]
        garbage += [before] if before and before != marker else []
        live, dirty = fresh, set()
        accepted = world.owner == me
        yield
        if accepted or not rules.fence:
            for key in garbage:
                log.pop(key, None)
                yield
            garbage = []
        if not accepted and chance.random() < 0.5:
            return  # it has noticed


def run(rules: Rules, seed: int) -> None:
    """One history. Raises Lost."""
    chance = random.Random(seed)
    world = World(rules, chance, [str(chance.randrange(BLOCKS)) for _ in range(INPUTS)])
    alive: dict[int, Iterator[None]] = {}
    for _ in range(STEPS):
        if world.owner not in alive or chance.random() < 0.06:
            world.owner += 1
            alive[world.owner] = worker(world, world.owner)
            next(alive[world.owner])
        turn = world.owner if chance.random() < 0.7 else chance.choice(list(alive))
        killed = turn != world.owner and chance.random() < 0.02
        if killed or next(alive[turn], "ended") == "ended":
            del alive[turn]
    world.choose()


def lost(rules: Rules, runs: int) -> Iterator[str]:
    """Of so many histories, those that lose the state: how."""
    for seed in range(runs):
        try:
            run(rules, seed)
        except Lost as how:
            yield f"history {seed}: {how}"


@pytest.mark.parametrize("clean", [False, True])
@pytest.mark.parametrize("rewrite", [False, True])
def test_a_fence_and_claimed_epochs_lose_nothing(clean: bool, rewrite: bool) -> None:
    assert not list(lost(Rules(clean=clean, rewrite=rewrite), 1000))


def test_without_cleaning_and_rewriting_less_would_do() -> None:
    plain = Rules(fence=False, epoch=False, claim=False, clean=False, rewrite=False)
    assert not list(lost(plain, 1000))


@pytest.mark.parametrize(
    "rules",
    [
        Rules(fence=False, epoch=False, claim=False),
        Rules(fence=False, epoch=False, claim=False, clean=False),
        Rules(epoch=False, claim=False),
        Rules(fence=False),
        Rules(claim=False),
    ],
    ids=[
        "nothing",
        "nothing, and no cleaning",
        "fence alone",
        "claimed epochs alone",
        "fence, epochs not claimed",
    ],
)
def test_each_rule_is_needed(rules: Rules) -> None:
    """The model would see it: weaker rules do lose the state."""
    assert next(lost(rules, 4000), None)


if __name__ == "__main__":  # the table of docs/adr/0001
    for rewrite in (False, True):
        for clean in (False, True):
            base = Rules(clean=clean, rewrite=rewrite)
            variants = {
                "nothing": replace(base, fence=False, epoch=False, claim=False),
                "fence": replace(base, epoch=False, claim=False),
                "claimed epochs": replace(base, fence=False),
                "fence, unclaimed epochs": replace(base, claim=False),
                "all": base,
            }
            figures = {name: sum(1 for _ in lost(rules, 4000)) for name, rules in variants.items()}
            print(f"{clean=} {rewrite=} {figures}")
