from ftbench.tracking.differing import differing_params


def test_only_params_that_differ_are_named_the_most_telling_first() -> None:
    runs = [
        {"train.learning_rate": lr, "adapter.r": r, "setting": "greedy", "limit": "8"}
        for lr, r in (("1e-4", "8"), ("1e-4", "16"), ("5e-5", "8"))
    ]
    assert differing_params(runs) == ["adapter.r", "train.learning_rate"]


def test_what_one_param_says_no_second_one_says_again() -> None:
    runs = [
        {"adapter.r": r, "adapter.lora_alpha": str(2 * int(r)), "train.lora_r": r}
        for r in ("8", "16")
    ]
    assert differing_params(runs) == ["adapter.r"]


def test_the_settings_label_stands_for_what_it_says() -> None:
    runs = [
        {"setting": "greedy", "backend.temperature": "0.0", "train.seed": "1"},
        {"setting": "temperature 0.7", "backend.temperature": "0.7", "train.seed": "2"},
        {"setting": "greedy", "backend.temperature": "0.0", "train.seed": "2"},
    ]
    assert differing_params(runs) == ["setting", "train.seed"]


def test_what_the_label_does_not_say_is_shown() -> None:
    runs = [
        {"setting": "greedy", "backend.max_out_len": "64"},
        {"setting": "greedy", "backend.max_out_len": "512"},
        {"setting": "temperature 0.7", "backend.max_out_len": "64"},
    ]
    assert differing_params(runs) == ["setting", "backend.max_out_len"]


def test_names_and_places_are_no_params() -> None:
    runs = [
        {
            "adapter": f"r{n}",
            "train.output_dir": f"/runs/{n}",
            "train.codename": f"word {n}",
            "train.seed": str(n),
            "timeout": str(n),
        }
        for n in range(4)
    ]
    assert differing_params(runs) == ["train.seed"]


def test_a_param_that_one_run_lacks_differs() -> None:
    assert differing_params([{"step": "500"}, {}]) == ["step"]


def test_one_run_has_nothing_to_differ_from() -> None:
    assert differing_params([{"adapter.r": "8"}]) == []
    assert differing_params([]) == []
