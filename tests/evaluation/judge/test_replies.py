import pytest

from merv.evaluation.judge.replies import Verdict, read_published, read_verdict

RIGHT, WRONG = Verdict(True, 5), Verdict(False, 0)


@pytest.mark.parametrize(
    ("reply", "ours", "published"),
    [
        ("{'pred': 'yes', 'score': 5}", RIGHT, RIGHT),
        ("{'pred': 'no', 'score': 0}", WRONG, WRONG),
        ('{"pred": "yes", "score": 5}', RIGHT, RIGHT),
        ('```json\n{"pred": "yes", "score": 5}\n```', RIGHT, None),
        ("```python\n{'pred': 'yes', 'score': 5}\n```", RIGHT, None),
        ("{'pred': 'yes', 'score': 5} because both mean a dog.", RIGHT, None),
        ("Sure! Here it is:\n{'pred': 'no', 'score': 0}.", WRONG, None),
        ("{'pred': 'Yes.', 'score': 5}", RIGHT, RIGHT),
        ("{'pred': 'YES', 'score': '5'}", RIGHT, RIGHT),
        ('{"pred": true, "score": 5}', RIGHT, None),
        ("{'pred': 'no', 'score': 4.8}", Verdict(False, 4.8), Verdict(False, 4)),
        ("{'pred': 'yes', 'score': '4/5'}", Verdict(True, 4), None),
        ("{'pred': 'yes', 'score': '4 out of 5'}", Verdict(True, 4), None),
        ("{'pred': 'yes', 'score': '4.8'}", Verdict(True, 4.8), None),
        ("{'pred': 'yes'}", None, None),
        ("{'score': 5}", None, None),
        ("{'pred': 'yes', 'score': None}", None, None),
        ("{'pred': 'yes', 'score': True}", None, Verdict(True, 1)),
        ("{'pred': 'yes', 'score': 9}", None, Verdict(True, 9)),
        ("{'pred': 'yes', 'score': -1}", None, Verdict(True, -1)),
        ("{'pred': 'yes', 'score': 1e999}", None, None),
        ('{"pred": "yes", "score": NaN}', None, None),
        ("{'pred': 'maybe', 'score': 3}", None, None),
        ("{'pred': 'not yes', 'score': 1}", None, Verdict(True, 1)),
        ("{'pred': 'unknown', 'score': 1}", None, Verdict(False, 1)),
        ("{'Pred': 'yes', 'Score': 5}", RIGHT, None),
        ("{'pred': 'yes', 'score': 5, 'why': 'a dog is a dog'}", RIGHT, RIGHT),
        ("{'pred': 'yes', 'score': 5}\n{'pred': 'no', 'score': 0}", None, None),
        ("{'pred': 'yes', 'score': 5}\n{'pred': 'yes', 'score': 5}", RIGHT, None),
        ("{'pred': 'yes', 'score': 5}, {'pred': 'no', 'score': 0}", None, None),
        ("<think>{'pred': 'no', 'score': 0}?</think>{'pred': 'yes', 'score': 5}", RIGHT, None),
        ("<think>perhaps {'pred': 'yes', 'score': 5}", None, None),
        ("{'pred': 'yes', 'score': 5", None, None),
        ("[{'pred': 'yes', 'score': 5}]", RIGHT, None),
        ("Yes.", None, None),
        ("yes, 5", None, None),
        ("5", None, None),
        ("", None, None),
        ("   \n", None, None),
        ("{}", None, None),
        ("{1: 2}", None, None),
        ("{" * 5000, None, None),
        ("(" * 5000, None, None),
    ],
)
def test_ugly_replies_read_as_one_verdict_or_none(reply, ours, published):
    assert read_verdict(reply) == ours
    assert read_published(reply) == published
