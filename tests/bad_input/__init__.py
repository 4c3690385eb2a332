"""Bad input by the thousand: recipes, command lines and bundles with something wrong in them."""
