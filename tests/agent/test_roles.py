import pytest

from merv.agent.chain import ChainConfig, chosen_paths
from merv.agent.roles import ROLES, as_role_model, read_roles
from merv.errors import ConfigError
from merv.models.qwen2_vl.roles import ROLES as MODEL_ROLES

from .fakes import ScriptedRoles


def test_an_agent_asks_the_roles_that_models_play():
    assert tuple(MODEL_ROLES) == ROLES


@pytest.mark.parametrize(
    ("words", "roles"),
    [
        ([], ()),
        (["answerer", "verifier", "planner", "grounder"], ("planner", "grounder", "verifier", "answerer")),
        (["grounder", "grounder"], ("grounder",)),
        (["mupa"], ("grounder", "verifier", "answerer", "gqa")),
        (["planner", "mupa"], ("planner", "grounder", "verifier", "answerer", "gqa")),
        (["gqa", "verifier"], ("verifier", "gqa")),
        (["answerer"], ("answerer",)),
    ],
)
def test_roles_stand_once_each_in_the_order_they_are_asked(words, roles):
    assert read_roles(words) == roles


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["grouder"],
            "agent: unknown role `grouder`; did you mean `grounder`\\? roles: answerer, gqa, grounder, mupa",
        ),
        (["all"], "agent: unknown role `all`; roles: answerer"),
        (["planner", "answerer"], "a planner has nothing to work on without a grounder; add grounder"),
        (["verifier"], "a verifier has nothing to work on"),
        (["planner", "gqa"], "a planner has nothing to work on"),
    ],
)
def test_roles_that_cannot_work_are_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        read_roles(words)


def test_a_model_that_plays_the_roles_is_taken():
    model = ScriptedRoles(["grounder"])

    assert as_role_model(model, ("grounder", "answerer"), "runs/a") is model  # the answerer is always there


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (ScriptedRoles(["grounder"]), "runs/a has no planner and no verifier; its roles: grounder$"),
        (ScriptedRoles([]), "runs/a has no planner and no verifier and no grounder; its roles: none but the answerer"),
        (object(), "runs/a plays no roles; name a model trained for them, or leave --agent out"),
    ],
)
def test_a_model_without_the_roles_is_named_with_those_it_has(model, message):
    with pytest.raises(ConfigError, match=message):
        as_role_model(model, ("planner", "verifier", "grounder"), "runs/a")


@pytest.mark.parametrize(
    ("words", "paths", "chosen"),
    [
        (["grounder", "verifier"], [], ()),
        (["mupa"], [], (1, 2, 3)),
        (["mupa"], [3, 1], (1, 3)),
        (["grounder", "verifier", "answerer"], [1, 3], (1, 3)),
        (["gqa", "verifier"], [2], (2,)),
        (["grounder", "verifier"], [4], (4,)),
    ],
)
def test_paths_are_those_asked_for_or_all_that_answer(words, paths, chosen):
    assert chosen_paths(words, read_roles(words), ChainConfig(paths=paths)) == chosen


@pytest.mark.parametrize(
    ("words", "paths", "message"),
    [
        (["grounder", "answerer"], [1], "path 1 needs verifier; add it to --agent, or write --agent mupa"),
        (["grounder", "verifier"], [1, 2], "path 2 needs gqa"),
        ([], [3], "path 3 needs grounder and verifier"),
    ],
)
def test_a_path_without_its_roles_is_refused(words, paths, message):
    with pytest.raises(ConfigError, match=message):
        chosen_paths(words, read_roles(words), ChainConfig(paths=paths))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"paths": [0]}, r"chain.paths is \[0\]; name each of 1, 2, 3, 4 at most once"),
        ({"paths": [1, 1]}, "at most once"),
        ({"candidates": 0}, "chain.candidates is 0"),
        ({"answer_min_seconds": -1.0}, "chain.answer_min_seconds is -1"),
        ({"answer_min_seconds": float("nan")}, "chain.answer_min_seconds is nan"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        ChainConfig(**options)
