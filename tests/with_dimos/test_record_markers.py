"""What a blueprint says about its recordings survives everything that is done with blueprints."""

from __future__ import annotations

import pickle

import pytest
from dimos.core.coordination.blueprints import autoconnect

import dimos_record.integrations.dimos  # noqa: F401 - gives blueprints their methods
from dimos_record.errors import OptionError
from dimos_record.integrations.dimos.markers import recorded_by_default, recording_of
from tests.with_dimos.recorded_modules import Counter, Eye, Listener

pytestmark = pytest.mark.dimos

ROBOT = autoconnect(Counter.blueprint(), Eye.blueprint())


def test_a_blueprint_that_names_nothing_records_nothing_by_default() -> None:
    assert recorded_by_default(ROBOT) == ()
    assert recording_of(ROBOT) is None


def test_the_choice_is_kept_and_appended_by_blueprints_of_a_higher_order() -> None:
    chosen = ROBOT.default_record_modules(Counter)
    assert recorded_by_default(ROBOT) == ()
    more = autoconnect(chosen, Listener.blueprint())
    assert recorded_by_default(more) == ("counter",)
    assert recorded_by_default(more.default_record_modules(Listener)) == ("counter", "listener")


def test_a_class_means_every_instance_in_every_namespace() -> None:
    chosen = ROBOT.default_record_modules(Counter)
    fleet = autoconnect(chosen.namespace("robot1"), ROBOT.namespace("robot2"))
    assert recorded_by_default(fleet) == ("robot1/counter", "robot2/counter")


def test_a_name_means_the_instance_under_later_namespaces() -> None:
    two = autoconnect(
        Counter.blueprint(instance_name="front"), Counter.blueprint(instance_name="rear")
    )
    chosen = two.default_record_modules("front").remappings([("front", "count", "steps")])
    assert recorded_by_default(chosen) == ("front",)
    assert recorded_by_default(chosen.namespace("a").namespace("b")) == ("b/a/front",)


def test_the_choice_survives_pickling_and_stops_no_blueprint() -> None:
    chosen = ROBOT.default_record_modules(Eye).default_recording("walk.db")
    loaded = pickle.loads(pickle.dumps(chosen))
    assert recorded_by_default(loaded) == ("eye",)
    assert recording_of(loaded) == "walk.db"
    assert [check() for check in loaded.requirement_checks] == [None, None]


def test_disabled_modules_are_not_recorded() -> None:
    chosen = ROBOT.default_record_modules(Counter, Eye).disabled_modules(Eye)
    assert recorded_by_default(chosen) == ("counter",)


def test_the_recording_that_was_named_last_counts() -> None:
    inner = ROBOT.default_recording("inner.db").namespace("robot1")
    assert recording_of(autoconnect(inner, Listener.blueprint())) == "inner.db"
    assert recording_of(autoconnect(inner).default_recording("outer.db")) == "outer.db"


@pytest.mark.parametrize("wrong", [(), (object,), ("",), (3,)])
def test_what_is_no_module_is_refused(wrong: tuple[object, ...]) -> None:
    with pytest.raises(OptionError, match="module"):
        ROBOT.default_record_modules(*wrong)


def test_a_recording_without_a_name_is_refused() -> None:
    with pytest.raises(OptionError, match=r"walk\.db"):
        ROBOT.default_recording(" ")
