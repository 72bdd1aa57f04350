"""What people type after `merv data download`: a recipe, a dataset that one brings, or a dataset that none does."""

from merv.data.datasets import DatasetConfig
from merv.data.download.recipe import Recipe, find_recipe, one_spelling, recipe_for
from merv.errors import ConfigError

DRAWN = "synthetic"
"""What names of datasets begin with that merv draws."""


def recipe_of(name: str) -> Recipe:
    """The recipe a name stands for.

    Raises:
        ConfigError: there is none; the line says why where a dataset has the name.
    """
    if recipe_for(name) is None and (reason := without_recipe(name)):
        raise ConfigError(reason)
    return find_recipe(name)


def without_recipe(name: str) -> str | None:
    """Why there is no recipe for a dataset, and where its files come from; None where no dataset is called so."""
    registered = {one_spelling(known): known for known in DatasetConfig.available()}
    known = registered.get(one_spelling(name))
    if known is None:
        return None
    if known.startswith(DRAWN):
        return f"dataset `{known}` is not downloaded: its clips are drawn on this machine where they are first needed"
    page = getattr(DatasetConfig.get(known), "published", "")
    if page:
        return (
            f"no recipe brings dataset `{known}`; fetch its files from {page}, `merv data check {known}` shows where "
            "they belong"
        )
    return f"there is nothing to download for dataset `{known}`: it reads what its own options name"
