from merv.evaluation.report import table


def test_rows_of_several_evaluations_line_up():
    rows = [
        {"task": "synthetic-mcq", "accuracy": 0.98765, "num_items": 400},
        {"task": "a|b", "accuracy": None, "num_items": 8},
    ]

    assert table(rows, ["task", "accuracy", "num_items", "failed"]).splitlines() == [
        "| task          | accuracy | num_items | failed |",
        "| ------------- | -------: | --------: | -----: |",
        "| synthetic-mcq |    0.988 |       400 |      - |",
        "| a\\|b          |        - |         8 |      - |",
    ]


def test_no_rows_give_the_heading():
    assert table([], ["task"]).splitlines() == ["| task |", "| ---: |"]
