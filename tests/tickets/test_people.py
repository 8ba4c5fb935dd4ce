"""Names and numbers: one place, pseudonyms, masks, every look on record, sealed at rest."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from connectors.migrations import upgrade
from connectors.sealing import Seal, SealError
from connectors.store import Store
from connectors.store.engine import writing
from connectors.store.people import Person, people_at, put_person
from streams.trade.complaints import Complainant
from streams.trade.roles import Actor, Role
from tests.tickets.tools import DAY, NOON

KEYS = tuple(base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
WANG = Actor("王芳", Role.OPERATOR)
ZHANG = Complainant(
    name="张小伟", phone="13812345678", email="zhang@example.com", address="广东省深圳市南山区科苑路1号"
)


def put(store: Store, contact: Complainant, point: str = "point-1", now_ns: int = NOON) -> str:
    with writing(store._engine) as connection:
        return put_person(connection, store._seal, contact, point, now_ns)


def at(store: Store, point: str = "point-1") -> list[Person]:
    with writing(store._engine) as connection:
        return people_at(connection, store._seal, point)


def test_a_pseudonym_says_nothing_and_stays(store: Store) -> None:
    first = put(store, ZHANG)
    assert put(store, ZHANG) == first
    assert put(store, ZHANG, "point-2") != first
    assert first.startswith("PN-")
    # by chance: another installation gives the same person another one
    with writing(store._engine) as connection:
        connection.execute(text("DELETE FROM people"))
    assert put(store, ZHANG) != first


@pytest.mark.parametrize(
    ("again", "same"),
    [
        (Complainant(name="张小伟", phone="+86 138-1234-5678"), True),
        (Complainant(name="张先生", phone="138 1234 5678"), True),
        (Complainant(name="张小伟", email=" Zhang@Example.com"), True),
        (Complainant(name="张小伟", phone="13912345678"), False),
        (Complainant(name="张小伟", address=ZHANG.address), False),
    ],
)
def test_the_same_number_or_address_at_a_point_is_the_same_person(
    store: Store, again: Complainant, same: bool
) -> None:
    first = put(store, ZHANG)
    assert (put(store, again, now_ns=NOON + DAY) == first) is same
    if same:
        (kept,) = at(store)
        # what was not given again stays
        assert kept.address == ZHANG.address
        assert kept.name == again.name
        assert (kept.created_ns, kept.updated_ns) == (NOON, NOON + DAY)


@pytest.mark.parametrize(
    ("again", "same"),
    [
        (Complainant(name="张 小伟", phone="+86 138-1234-5678"), True),
        (Complainant(name="李四", phone="138 1234 5678"), False),
        (Complainant(name="李四", email="zhang@example.com"), False),
        (Complainant(name="张小伟", phone="13812345678", address="深圳市福田区2号"), False),
    ],
)
def test_where_no_place_is_known_strangers_who_share_a_number_stay_apart(
    store: Store, again: Complainant, same: bool
) -> None:
    first = put(store, ZHANG, "")
    assert (put(store, again, "") == first) is same
    kept = {one.person_id: one for one in at(store, "")}
    assert len(kept) == 1 + (not same)
    if not same:  # nothing of the first was written over
        assert (kept[first].name, kept[first].address) == (ZHANG.name, ZHANG.address)
    # at a place of its own it is one household again
    assert put(store, ZHANG, "point-1") == put(store, Complainant(name="李四", phone=ZHANG.phone), "point-1")


def test_without_a_number_name_and_address_tell(store: Store) -> None:
    letter = Complainant(name="李四", address="解放路12号")
    assert put(store, letter) == put(store, letter)
    assert put(store, Complainant(name="李四", address="解放路13号")) != put(store, letter)


def test_many_who_bring_the_same_person_make_one(store: Store) -> None:
    with ThreadPoolExecutor(6) as threads:
        made = set(threads.map(lambda _: put(store, ZHANG), range(12)))
    assert len(made) == 1


def test_looks_are_masked_and_on_record(store: Store) -> None:
    one = put(store, ZHANG)
    shown = store.person(one, WANG, NOON)
    assert shown is not None
    assert (shown.name, shown.phone, shown.email) == ("张**", "138****5678", "z***@example.com")
    assert shown.address == "广东省深圳市南山区***"
    assert shown.masked
    clear = store.unmask(one, WANG, "预约上门检表", NOON)
    assert clear is not None
    assert (clear.name, clear.phone, clear.masked) == ("张小伟", "13812345678", False)
    assert store.person("PN-0", WANG, NOON) is None
    assert store.unmask("PN-0", WANG, "预约上门检表", NOON) is None
    found = store.find_people("0086 138 1234 5678", WANG, NOON)
    assert [(each.person_id, each.name) for each in found] == [(one, "张**")]
    assert store.find_people("1381234", WANG, NOON) == []
    assert store.find_people("", WANG, NOON) == []
    lines = [(line.action, line.object, line.reason) for line in reversed(store.audit_log())]
    assert lines == [
        ("person.shown", f"person/{one}", ""),
        ("person.unmasked", f"person/{one}", "预约上门检表"),
        *[("person.sought", "people/phone", "")] * 3,
    ]
    assert "138" not in str([line.details for line in store.audit_log()])


def test_sealed_at_rest_and_found_all_the_same(store_url: str) -> None:
    upgrade(store_url)
    plain = Store(store_url)
    early = put(plain, ZHANG)
    sealed = Store(store_url, seal=Seal(KEYS[:1]))
    later = put(sealed, Complainant(name="李四", phone="+44 7911 123456"), "point-2")
    # somebody from before the key is known again, and sealed by that
    assert put(sealed, ZHANG) == early
    assert at(sealed)[0].name == "张小伟"
    raw = rows(plain)
    assert not any(word in raw for word in ("张小伟", "13812345678", "李四", "7911", "科苑路", "zhang@"))
    with pytest.raises(SealError, match=r"expected key \w{8} among people.keys"):
        at(plain)
    # a second key: the first goes on to open, until all is sealed anew
    turned = Store(store_url, seal=Seal((KEYS[1], KEYS[0])))
    assert [one.person_id for one in turned.find_people("+44 7911 123456", WANG, NOON)] == [later]
    assert turned.reseal_people(WANG, NOON, at_a_time=1) == 2
    assert turned.reseal_people(WANG, NOON) == 0
    alone = Store(store_url, seal=Seal(KEYS[1:]))
    assert at(alone)[0].phone == "13812345678"
    assert [one.person_id for one in alone.find_people("13812345678", WANG, NOON)] == [early]
    for store in (plain, sealed, turned, alone):
        store.close()


def test_everybody_is_sealed_once_there_is_a_key(store_url: str) -> None:
    upgrade(store_url)
    plain = Store(store_url)
    for number in range(7):
        put(plain, Complainant(name=f"name-{number}", phone=f"1380000000{number}"))
    sealed = Store(store_url, seal=Seal(KEYS))
    assert sealed.reseal_people(WANG, NOON, at_a_time=3) == 7
    assert "name-" not in rows(plain)
    assert sorted(one.name for one in at(sealed)) == [f"name-{n}" for n in range(7)]
    plain.close()
    sealed.close()


def rows(store: Store) -> str:
    with writing(store._engine) as connection:
        return str(connection.execute(text("SELECT * FROM people")).all())


@given(st.text(), st.text(), st.text())
def test_what_is_sealed_opens_where_it_belongs_only(content: str, about: str, other: str) -> None:
    try:
        content.encode()
        about.encode()
        other.encode()
    except UnicodeEncodeError:
        return
    seal = Seal(KEYS)
    sealed = seal.seal(content, about)
    assert seal.open(sealed, about) == content
    assert Seal(KEYS[::-1]).open(sealed, about) == content
    if content:
        assert content not in sealed or len(content) < 4
        assert sealed != seal.seal(content, about)
        if other != about:
            with pytest.raises(SealError):
                seal.open(sealed, other)
        for broken in (sealed[:-6], sealed[:-4] + "AAAA", f"{sealed}é"):
            if broken != sealed:
                with pytest.raises(SealError):
                    seal.open(broken, about)


@pytest.mark.parametrize("key", ["", "short", base64.b64encode(b"x" * 31).decode(), "é" * 44])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="32 bytes in base64"):
        Seal([key])
