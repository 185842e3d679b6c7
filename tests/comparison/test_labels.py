from ftbench.comparison.labels import short_labels
from tests.comparison.builders import run, single

DATASET = single("a", 1.0)


def test_model_alone_is_the_label_where_settings_are_equal() -> None:
    runs = [run("out/checkpoint-500", DATASET), run("base-7b", DATASET, is_base=True)]
    assert short_labels(runs) == ("out/checkpoint-500", "base-7b (base)")


def test_setting_alone_is_the_label_where_models_are_equal() -> None:
    warm = run("lora", DATASET, setting="temperature 0.7", name="lora · temperature 0.7")
    assert short_labels([run("lora", DATASET), warm]) == ("greedy", "temperature 0.7")


def test_both_are_there_where_both_differ() -> None:
    warm = run("two", DATASET, setting="temperature 0.7", name="two · temperature 0.7")
    assert short_labels([run("one", DATASET), warm]) == ("one · greedy", "two · temperature 0.7")


def test_name_that_somebody_chose_is_kept() -> None:
    assert short_labels([run("lora", DATASET, name="my best")]) == ("my best",)


def test_equal_labels_get_ids() -> None:
    runs = [run("lora", DATASET, key="abcdef0123456789"), run("lora", DATASET, key="/w/20261124")]
    assert short_labels(runs) == ("lora (abcdef01)", "lora (20261124)")
